import { randomBytes } from 'node:crypto';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import type { PhaseResult } from '../pipeline.ts';
import { equalsHex, hmacSha256Hex, isHex } from './body-hmac.ts';
import { setCallerKey, unusable, type Verifier } from './caller.ts';
import type { Challenge } from './challenge.ts';
import { type AuthOutcome, countAuthAttempts } from './outcome.ts';

const nobody = randomBytes(24).toString('base64url');
const noSecrets: readonly string[] = [];

/**
 * `X-API-Key: <key_id>:<hex HMAC-SHA256(secret, raw body)>`. A key that is unknown, of the other kind or without a
 * valid secret costs one HMAC all the same.
 */
export function verifyHmac(dependencies: Dependencies, challenge: Challenge, maxBodyBytes: number): Verifier {
  const { keys } = dependencies;
  const attempts = countAuthAttempts(dependencies.metrics);

  function check(exchange: Exchange, credential: string, body: Buffer | null): PhaseResult {
    if (body === null) {
      attempts.body_too_large.value++;
      return challenge.bodyTooLarge;
    }
    const colon = credential.indexOf(':');
    const nowMs = dependencies.now();
    const known = keys.find(credential.slice(0, colon));
    let secrets = noSecrets;
    let outcome: AuthOutcome = 'unknown';
    if (known !== undefined) {
      outcome = known.key.kind === 'api_key' ? 'bad_signature' : 'wrong_kind';
      if (known.key.kind === 'api_key') secrets = keys.secretsOf(known, nowMs);
    }
    let matches = false;
    if (secrets.length === 0) equalsHex(hmacSha256Hex(nobody, body), credential, colon + 1);
    for (let i = 0; i < secrets.length && !matches; i++) {
      matches = equalsHex(hmacSha256Hex(secrets[i]!, body), credential, colon + 1);
    }
    if (known !== undefined) outcome = unusable(known, nowMs) ?? outcome;
    if (known === undefined || !matches || outcome !== 'bad_signature') {
      attempts[outcome].value++;
      return challenge.invalid;
    }
    attempts.success.value++;
    return setCallerKey(exchange, known, challenge);
  }

  return (exchange, credential) => {
    const colon = credential.indexOf(':');
    if (colon <= 0 || !isHex(credential, colon + 1)) {
      attempts.malformed.value++;
      return challenge.malformedKey;
    }
    const body = exchange.collectBody(maxBodyBytes);
    if (body instanceof Promise) return body.then((whole) => check(exchange, credential, whole));
    return check(exchange, credential, body);
  };
}
