import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import {
  type FieldError,
  type ProblemCode,
  problemDocument,
  problemMediaType,
  problems,
} from '#contract/problems.ts';

/** Thrown by a handler to answer with a problem of the table. */
export class ProblemError extends Error {
  readonly code: ProblemCode;
  readonly extra: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    detail?: string,
    extra?: Readonly<Record<string, unknown>>,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail ?? problems[code].detail);
    this.code = code;
    this.extra = extra;
    this.headers = headers;
  }
}

/** A `validation_failed` problem that lists what is wrong and where. */
export function invalid(errors: readonly FieldError[]): ProblemError {
  return new ProblemError('validation_failed', undefined, { errors });
}

export function notFound(what: string): ProblemError {
  return new ProblemError('not_found', `There is no such ${what}.`);
}

/** What Fastify itself throws, by its code. */
const frameworkProblems: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'media_type_unsupported',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_parameter',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_parameter',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed_request',
  FST_ERR_BAD_URL: 'malformed_request',
  FST_ERR_MAX_LIMIT_REACHED: 'overloaded',
};

export function sendProblem(
  reply: FastifyReply,
  code: ProblemCode,
  detail?: string,
  extra?: Readonly<Record<string, unknown>>,
): FastifyReply {
  return reply
    .code(problems[code].status)
    .type(problemMediaType)
    .send({ ...problemDocument(code, detail, extra), instance: `urn:tollgate:request:${reply.request.id}` });
}

/** Turns whatever a handler threw into a problem; what is not foreseen is logged and answered as a 500. */
export function handleError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  if (error instanceof ProblemError) {
    void reply.headers(error.headers);
    sendProblem(reply, error.code, error.message, error.extra);
    return;
  }
  const code = (error as FastifyError).code;
  const known = frameworkProblems[code];
  if (known) {
    sendProblem(reply, known, known === 'invalid_parameter' ? 'The body is not valid JSON.' : undefined);
    return;
  }
  if (/^(?:08|57P)/.test(code ?? '') || code === 'ECONNREFUSED' || code === 'ECONNRESET') {
    request.log.error({ err: error }, 'database unavailable');
    void reply.header('retry-after', '5');
    sendProblem(reply, 'unavailable', 'The database cannot be reached now; retry later.');
    return;
  }
  if (/^22[0-9A-Z]{3}$/.test(code ?? '')) {
    sendProblem(reply, 'invalid_parameter', 'A value is out of the range that can be stored.');
    return;
  }
  const status = (error as FastifyError).statusCode ?? 500;
  if (code?.startsWith('FST_') && status >= 400 && status < 500) {
    sendProblem(reply, status === 414 ? 'not_found' : 'malformed_request');
    return;
  }
  request.log.error({ err: error }, 'request failed');
  sendProblem(reply, 'internal_error');
}
