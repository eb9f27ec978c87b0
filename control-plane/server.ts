import Fastify, { type FastifyBaseLogger, type FastifyError, LogController } from 'fastify';
import type { ControlPlaneConfig } from './config.ts';
import type { App } from './context.ts';
import { MethodIndex } from './http/methods.ts';
import { addOpenApi } from './http/openapi.ts';
import { handleError, sendProblem } from './http/problem.ts';
import { compileValidator, jsonNull } from './http/validation.ts';
import { mintId } from './identifiers.ts';

export const version = '0.1.0';

/** The HTTP server with all that is common to features: problems, validation, OpenAPI, security headers. */
export async function makeServer(config: ControlPlaneConfig, log: FastifyBaseLogger): Promise<App> {
  const methods = new MethodIndex();
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.maxBodyBytes,
    requestTimeout: 60_000,
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && /^[A-Za-z0-9._-]{1,128}$/.test(given) ? given : mintId('req');
    },
    trustProxy: config.trustedProxies.length > 0 ? [...config.trustedProxies] : false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    frameworkErrors: (error, request, reply) => handleError(error, request, reply as never),
  }) as unknown as App;

  app.setValidatorCompiler(compileValidator as never);
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setErrorHandler((error: FastifyError | Error, request, reply) => {
    // A body that cannot be read matters less than that there is nothing to read it.
    if (request.is404 && (error as FastifyError).code?.startsWith('FST_')) methods.handler(request, reply);
    else handleError(error, request, reply);
  });
  app.setNotFoundHandler(methods.handler);
  app.decorateRequest('caller', null);

  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser(
    /^application\/(?:[a-z.-]+\+)?json(?:;|$)/,
    { parseAs: 'string' },
    (request, body, done) => {
      if (body.length === 0) done(null, undefined);
      else
        parseJson(request, body as string, (error, value) => done(error, value === null ? jsonNull : value));
    },
  );
  app.addContentTypeParser('*', (_request, payload, done) => {
    payload.resume();
    payload.on('end', () =>
      done(Object.assign(new Error(), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE' }), undefined),
    );
  });

  app.addHook('onRoute', (route) => methods.add(route.url, route.method));
  app.addHook('onRequest', async (request, reply) => {
    void reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      ...(config.publicUrl?.startsWith('https:') ? { 'strict-transport-security': 'max-age=31536000' } : {}),
    });
    if (request.url.includes('%00')) sendProblem(reply, 'malformed_request');
  });
  app.addHook('onResponse', async (request, reply) => {
    request.log.info(
      {
        method: request.method,
        route: request.routeOptions.url ?? null,
        status: reply.statusCode,
        latency_ms: Math.round(reply.elapsedTime * 10) / 10,
        ip: request.ip,
        actor: request.caller?.actor ?? null,
      },
      'request',
    );
  });
  await addOpenApi(app, version);
  return app;
}
