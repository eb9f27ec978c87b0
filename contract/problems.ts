/**
 * Every error that Tollgate sends, as RFC 9457 problems with a stable `code`. `docs/errors.md` lists the same table.
 */
export interface ProblemType {
  readonly status: number;
  readonly title: string;
  readonly detail: string;
}

export const problems = {
  malformed_request: { status: 400, title: 'Malformed request', detail: 'The request is not valid HTTP.' },
  invalid_parameter: {
    status: 400,
    title: 'Invalid parameter',
    detail: 'A parameter or the body is not valid.',
  },
  credentials_malformed: {
    status: 400,
    title: 'Credentials malformed',
    detail: 'A credential field is sent twice, too long, or at odds with another.',
  },
  credentials_invalid: {
    status: 401,
    title: 'Credentials missing or invalid',
    detail: 'Send a valid credential as the WWW-Authenticate field says.',
  },
  signature_expired: {
    status: 401,
    title: 'Signature expired',
    detail:
      "The signature was made more than 300 seconds before or after this gateway's time, see Date, or is past its own expiry.",
  },
  signature_replayed: {
    status: 401,
    title: 'Signature replayed',
    detail: 'The nonce of the signature has been used before; sign every request anew.',
  },
  forbidden: { status: 403, title: 'Forbidden', detail: 'The credential does not permit this.' },
  environment_not_allowed: {
    status: 403,
    title: 'Environment not allowed',
    detail: 'This route does not accept keys of this environment.',
  },
  scope_missing: {
    status: 403,
    title: 'Scope missing',
    detail: 'The credential lacks a scope or role that is required.',
  },
  address_not_allowed: {
    status: 403,
    title: 'Address not allowed',
    detail: 'Requests from this address are refused.',
  },
  origin_not_allowed: {
    status: 403,
    title: 'Origin not allowed',
    detail: 'This origin may not call the route.',
  },
  route_not_found: { status: 404, title: 'Route not found', detail: 'No route matches host and path.' },
  not_found: { status: 404, title: 'Not found', detail: 'There is no such resource.' },
  method_not_allowed: { status: 405, title: 'Method not allowed', detail: 'See the Allow field.' },
  request_timeout: { status: 408, title: 'Request timeout', detail: 'The request did not arrive in time.' },
  conflict: {
    status: 409,
    title: 'Conflict',
    detail: 'The request conflicts with the state of the resource.',
  },
  version_brownout: {
    status: 410,
    title: 'Version in brownout',
    detail: 'This version is switched off for a while, ahead of its sunset; migrate to its successor.',
  },
  version_sunset: { status: 410, title: 'Version retired', detail: 'This version is past its sunset date.' },
  precondition_failed: {
    status: 412,
    title: 'Precondition failed',
    detail: 'The resource has changed since it was read.',
  },
  body_too_large: {
    status: 413,
    title: 'Body too large',
    detail: 'The body exceeds what the route accepts.',
  },
  signed_body_too_large: {
    status: 413,
    title: 'Signed body too large',
    detail: 'The body exceeds what can be verified against a signature.',
  },
  target_too_long: {
    status: 414,
    title: 'Request target too long',
    detail: 'Shorten the path or the query.',
  },
  media_type_unsupported: { status: 415, title: 'Media type unsupported', detail: 'Send application/json.' },
  expectation_failed: {
    status: 417,
    title: 'Expectation failed',
    detail: 'Only 100-continue can be expected.',
  },
  validation_failed: { status: 422, title: 'Validation failed', detail: 'See errors.' },
  idempotency_key_reused: {
    status: 422,
    title: 'Idempotency key reused',
    detail: 'The key was used before with another request.',
  },
  rate_limited: { status: 429, title: 'Rate limit exceeded', detail: 'Retry after the time in Retry-After.' },
  quota_exceeded: { status: 429, title: 'Quota exceeded', detail: 'The quota of the period is used up.' },
  concurrency_exceeded: {
    status: 429,
    title: 'Too many requests at once',
    detail: 'Wait for earlier requests to end.',
  },
  header_too_large: {
    status: 431,
    title: 'Header section too large',
    detail: 'Send fewer or shorter header fields.',
  },
  internal_error: { status: 500, title: 'Internal error', detail: 'The fault is ours and has been logged.' },
  provisioning_failed: {
    status: 500,
    title: 'Provisioning failed',
    detail: 'The infrastructure of the tenant could not be set up; retry after the time in Retry-After.',
  },
  not_implemented: {
    status: 501,
    title: 'Not implemented',
    detail: 'The method or coding is not supported.',
  },
  upstream_unreachable: {
    status: 502,
    title: 'Upstream unreachable',
    detail: 'No connection to the service could be made.',
  },
  upstream_reset: {
    status: 502,
    title: 'Upstream reset',
    detail: 'The service closed the connection before answering.',
  },
  upstream_invalid: {
    status: 502,
    title: 'Upstream answer invalid',
    detail: 'The service sent an answer that is not valid HTTP.',
  },
  unavailable: {
    status: 503,
    title: 'Service unavailable',
    detail: 'The service cannot be reached now; retry later.',
  },
  overloaded: { status: 503, title: 'Overloaded', detail: 'Too many requests are under way; retry later.' },
  limiter_unavailable: {
    status: 503,
    title: 'Limiter unavailable',
    detail: 'Limits cannot be decided now; retry later.',
  },
  upstream_timeout: { status: 504, title: 'Upstream timeout', detail: 'The service did not answer in time.' },
  revalidation_failed: {
    status: 504,
    title: 'Revalidation failed',
    detail: 'What is stored must be validated and the service did not answer.',
  },
  not_cached: {
    status: 504,
    title: 'Not cached',
    detail: 'only-if-cached was asked for and nothing suitable is stored.',
  },
  http_version_unsupported: {
    status: 505,
    title: 'HTTP version unsupported',
    detail: 'Use HTTP/1.1 or HTTP/2.',
  },
} as const satisfies Record<string, ProblemType>;

export type ProblemCode = keyof typeof problems;

export const problemMediaType = 'application/problem+json';

/** One entry of a validation problem: a JSON pointer (RFC 6901) and what is wrong there. */
export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

/** The problem document; `extra` members (for example `errors`, `violated`) stand beside the standard ones. */
export function problemDocument(
  code: ProblemCode,
  detail?: string,
  extra?: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const type = problems[code];
  return {
    type: `urn:tollgate:problem:${code}`,
    title: type.title,
    status: type.status,
    code,
    detail: detail ?? type.detail,
    ...extra,
  };
}
