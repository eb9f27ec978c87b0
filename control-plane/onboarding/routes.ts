import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { originOf } from '../audit/record.ts';
import type { Context, Feature } from '../context.ts';
import { problemReplies } from '../http/openapi.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { mintId } from '../identifiers.ts';
import { makeIssuer, provideAuthority } from './certificates/make-issuer.ts';
import { CertificateStore } from './certificates/store.ts';
import { completeOnboarding } from './completing.ts';
import { makeDnsProvider } from './dns/make-provider.ts';
import { measureOnboardings } from './events.ts';
import { Guard } from './guard.ts';
import { WindowLimiter } from './limits.ts';
import { digestMasterKey, mintMasterKey } from './master-key.ts';
import { formatTime, presentProvision, presentStart, presentStatus } from './present.ts';
import { provisionOnce } from './provision-once.ts';
import { Provisioning } from './provisioning.ts';
import { type ApplicationRow, findOnboarding, insertApplication, type OnboardingRow } from './queries.ts';
import {
  completeBody,
  completeReply,
  deleteReply,
  provisionBody,
  provisionReply,
  registerBody,
  registerReply,
  startBody,
  startReply,
  statusReply,
  uuidParams,
} from './schema.ts';
import { decideOnboarding } from './settings.ts';
import { startOnboarding } from './starting.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose master key was sent, on the endpoints of onboarding. */
    onboardingApplication: ApplicationRow | null;
  }
}

const sweepIntervalMs = 15_000;
const base = '/api/v1';
const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Onboarding of tenants: a subdomain, its records, certificate and route, for applications with a master key. */
export const onboarding: Feature = async (app, context) => {
  const { db, audit, metrics, log, now } = context;
  const settings = decideOnboarding(context.config.onboarding);
  const limiter = new WindowLimiter(db, () => now().getTime());
  const guard = new Guard(context, settings, limiter);
  const dns = makeDnsProvider(settings.dns, settings.baseDomain);
  const owner = `${hostname()}:${process.pid}:${randomUUID()}`;
  const issuerParts = { db, secrets: context.secrets, dns, onboarding: settings, now };
  let issuer: ReturnType<typeof makeIssuer> | undefined;
  const certificates = new CertificateStore({
    db,
    secrets: context.secrets,
    issuer: () => {
      issuer ??= makeIssuer(issuerParts);
      return issuer;
    },
    owner,
    now,
    onIssued: (id, durationMs) =>
      log.info({ certificate: id, ms: Math.round(durationMs) }, 'certificate issued'),
    onFailed: (id, error) => log.warn({ certificate: id, err: error }, 'certificate not issued'),
  });
  const events = measureOnboardings(metrics, db);
  const provisioning = new Provisioning({ context, onboarding: settings, dns, certificates, events, owner });
  keepGoing(context, [() => provisioning.sweep(), () => certificates.renewDue(), () => limiter.sweep()]);

  app.decorateRequest('onboardingApplication', null);
  const countAddress = (request: FastifyRequest, reply: FastifyReply): Promise<void> =>
    guard.limitAddress(request, reply);
  const authenticate = async (request: FastifyRequest): Promise<void> => {
    request.onboardingApplication = await guard.authenticate(request);
  };
  const own = async (request: FastifyRequest, uuid: string): Promise<OnboardingRow> => {
    const application = request.onboardingApplication!;
    const row = uuidPattern.test(uuid) ? await findOnboarding(db, application.id, uuid) : undefined;
    if (!row) throw notFound('onboarding');
    return row;
  };
  const common = { tags: ['onboarding'], security: [{ masterKey: [] }] };

  app.post(
    `${base}/applications/register`,
    {
      onRequest: countAddress,
      schema: {
        operationId: 'registerApplication',
        tags: ['onboarding'],
        summary: 'Register an application',
        description: 'The master key is in this reply and never shown again.',
        body: registerBody,
        response: {
          201: registerReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      guard.checkRegistrationToken(request);
      const caller = await context.auth.identify(request);
      const masterKey = mintMasterKey();
      const application: ApplicationRow = {
        id: mintId('app'),
        name: request.body.app_name.trim(),
        account_id: caller?.kind === 'developer' ? caller.accountId : null,
      };
      await db.transaction(async (tx) => {
        await insertApplication(tx, { ...application, masterKeyDigest: digestMasterKey(masterKey)! });
        await audit.record(tx, originOf(request), {
          action: 'onboarding.register',
          accountId: application.account_id,
          target: { application: application.id },
          after: { name: application.name },
        });
      });
      void reply.code(201).header('cache-control', 'no-store');
      return {
        success: true as const,
        app_id: application.id,
        app_name: application.name,
        master_key: masterKey,
      };
    },
  );

  app.post(
    `${base}/onboarding/start`,
    {
      onRequest: [countAddress, authenticate],
      schema: {
        ...common,
        operationId: 'startOnboarding',
        summary: 'Start an onboarding',
        body: startBody,
        response: { 201: startReply, ...problemReplies('credentials_invalid', 'validation_failed') },
      },
    },
    async (request, reply) => {
      const application = request.onboardingApplication!;
      await guard.limitStart(application, reply);
      const row = await startOnboarding(context, originOf(request), application, {
        email: request.body.email,
        organizationName: request.body.organization_name ?? null,
        customDomain: request.body.custom_domain ?? null,
      });
      void reply.code(201);
      return presentStart(settings, row);
    },
  );

  app.post(
    `${base}/onboarding/provision`,
    {
      onRequest: [countAddress, authenticate],
      schema: {
        ...common,
        operationId: 'provisionOnboarding',
        summary: 'Set up the infrastructure of an onboarding',
        description: 'Safe to repeat. Key and secret are shown by the call that did the work, once.',
        body: provisionBody,
        response: {
          200: provisionReply,
          ...problemReplies('credentials_invalid', 'not_found', 'validation_failed', 'provisioning_failed'),
        },
      },
    },
    async (request, reply) => {
      const row = await own(request, request.body.uuid);
      const result = await provisionOnce(context, provisioning, guard, reply, originOf(request), row, {
        wantsKey: request.body.generate_api_key ?? false,
      });
      void reply.header('cache-control', 'no-store');
      return presentProvision(result.row, result.credentials, result.isIdempotent);
    },
  );

  app.get(
    `${base}/onboarding/status/:uuid`,
    {
      onRequest: authenticate,
      schema: {
        ...common,
        operationId: 'getOnboardingStatus',
        summary: 'Get the status of an onboarding',
        params: uuidParams,
        response: { 200: statusReply, ...problemReplies('credentials_invalid', 'not_found') },
      },
    },
    async (request, reply) => {
      await guard.limitStatus(request.onboardingApplication!, reply);
      return presentStatus(settings, await own(request, request.params.uuid));
    },
  );

  app.post(
    `${base}/onboarding/:uuid/complete`,
    {
      onRequest: [countAddress, authenticate],
      schema: {
        ...common,
        operationId: 'completeOnboarding',
        summary: 'Report that the tenant is ready',
        params: uuidParams,
        body: completeBody,
        response: {
          200: completeReply,
          ...problemReplies('credentials_invalid', 'not_found', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request) => {
      const { uuid } = await own(request, request.params.uuid);
      const row = await completeOnboarding(context, originOf(request), request.onboardingApplication!, uuid, {
        tenantId: request.body.tenant_id,
        metadata: request.body.metadata ?? {},
      });
      return {
        success: true as const,
        message: 'Onboarding marqué comme complété avec succès',
        uuid,
        onboarding_status: 'completed' as const,
        completed_at: formatTime(row.completed_at!),
      };
    },
  );

  app.delete(
    `${base}/onboarding/:uuid`,
    {
      onRequest: [countAddress, authenticate],
      schema: {
        ...common,
        operationId: 'deleteOnboarding',
        summary: 'Forget an onboarding: its data, records, route and key',
        params: uuidParams,
        response: { 200: deleteReply, ...problemReplies('credentials_invalid', 'not_found', 'conflict') },
      },
    },
    async (request) => {
      const row = await own(request, request.params.uuid);
      if (!(await provisioning.remove(row, originOf(request)))) {
        throw new ProblemError('conflict', 'The onboarding is being provisioned; delete it afterwards.');
      }
      return { success: true as const, message: 'Onboarding supprimé avec succès', uuid: row.uuid };
    },
  );

  app.get(
    `${base}/onboarding/authority`,
    {
      schema: {
        operationId: 'getLocalAuthority',
        tags: ['onboarding'],
        summary: 'Get the root to trust where certificates are self-signed',
        response: {
          200: {
            description: 'PEM.',
            content: { 'application/pem-certificate-chain': { schema: Type.String() } },
          },
          ...problemReplies('not_found'),
        },
      },
    },
    async (_request, reply) => {
      if (settings.tls.issuer !== 'self-signed') throw notFound('local authority');
      const { certificate } = await provideAuthority(issuerParts);
      return reply.type('application/pem-certificate-chain').send(certificate);
    },
  );
};

/** Repeats background work while the instance runs, one run after the other. */
function keepGoing(context: Context, works: readonly (() => Promise<void>)[]): void {
  let current: Promise<void> = Promise.resolve();
  const run = async (): Promise<void> => {
    for (const work of works) {
      await work().catch((error: unknown) =>
        context.log.warn({ err: error }, 'onboarding work is tried again'),
      );
    }
  };
  const timer = setInterval(() => {
    current = current.then(run);
  }, sweepIntervalMs);
  timer.unref();
  context.onClose(async () => {
    clearInterval(timer);
    await current;
  });
}
