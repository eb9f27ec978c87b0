import type { Credential } from '#contract/access.ts';
import { Refusal, refusal } from '../refusal.ts';

/** The refusals of one route's authentication, made once. */
export interface Challenge {
  /** Missing, unknown, wrong, revoked, expired, not accepted here: one answer for all, so that none tells them apart. */
  readonly invalid: Refusal;
  /** A value that cannot be what its field asks for; says which form is meant. */
  readonly malformedKey: Refusal;
  readonly malformedSignature: Refusal;
  readonly signatureExpired: Refusal;
  readonly digestMismatch: Refusal;
  readonly replayed: Refusal;
  readonly invalidToken: Refusal;
  readonly expiredToken: Refusal;
  readonly issuerUnavailable: Refusal;
  readonly duplicate: Refusal;
  readonly oversize: Refusal;
  readonly conflict: Refusal;
  readonly bodyTooLarge: Refusal;
}

/**
 * `maxSignedBytes` is stated in the 413, unless the route accepts only smaller bodies at all (`routeBoundsBody`).
 */
export function makeChallenge(
  accept: ReadonlySet<Credential>,
  maxSignedBytes: number,
  routeBoundsBody: boolean,
): Challenge {
  const headers: string[] = [];
  if (accept.has('hmac')) headers.push('WWW-Authenticate', 'ApiKey realm="tollgate"');
  if (accept.has('bearer') || accept.has('jwt')) headers.push('WWW-Authenticate', 'Bearer realm="tollgate"');
  if (accept.has('signature')) headers.push('WWW-Authenticate', 'Signature realm="tollgate"');
  const tokenHeaders = (description: string): string[] => [
    'WWW-Authenticate',
    `Bearer realm="tollgate", error="invalid_token", error_description="${description}"`,
  ];
  return {
    invalid: new Refusal('credentials_invalid', headers),
    malformedKey: new Refusal(
      'credentials_invalid',
      headers,
      'X-API-Key is to be "<key_id>:<HMAC-SHA256 of the body, in hex>" or a bearer secret.',
    ),
    malformedSignature: new Refusal(
      'credentials_invalid',
      headers,
      'Signature and Signature-Input are to hold one signature with created, nonce and keyid that covers "@method", "@authority", "@path", "@query" and, with a body, "content-digest" (RFC 9421).',
    ),
    signatureExpired: new Refusal('signature_expired', headers),
    digestMismatch: new Refusal(
      'credentials_invalid',
      headers,
      'Content-Digest is not that of the body, or of no supported algorithm (sha-256, sha-512).',
    ),
    replayed: new Refusal('signature_replayed', headers),
    invalidToken: new Refusal('credentials_invalid', tokenHeaders('the token is not valid here')),
    expiredToken: new Refusal(
      'credentials_invalid',
      tokenHeaders('the token has expired'),
      'The token has expired.',
    ),
    issuerUnavailable: new Refusal(
      'unavailable',
      ['Retry-After', '5'],
      "The keys of the token's issuer cannot be fetched now; retry later.",
    ),
    duplicate: new Refusal('credentials_malformed', headers, 'A credential field was sent more than once.'),
    oversize: new Refusal('credentials_malformed', headers, 'A credential field is too long.'),
    conflict: new Refusal('credentials_malformed', headers, 'The credentials name different callers.'),
    bodyTooLarge: routeBoundsBody
      ? refusal('body_too_large')
      : new Refusal(
          'signed_body_too_large',
          [],
          `Bodies are verified against a signature up to ${maxSignedBytes} bytes.`,
        ),
  };
}
