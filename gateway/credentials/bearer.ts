import { hash } from 'node:crypto';
import { parseSecret, secretPattern } from '#contract/keys.ts';
import type { Secret } from '#contract/registry.ts';
import type { Dependencies } from '../dependencies.ts';
import { setCallerKey, unusable, type Verifier } from './caller.ts';
import type { Challenge } from './challenge.ts';
import { type AuthOutcome, countAuthAttempts } from './outcome.ts';

const maxSecretLength = 512;

/**
 * A secret presented itself, of a `bearer` key. One in Tollgate's format whose checksum is wrong is refused without a
 * look-up; secrets of other formats come from keys that were registered by their hash.
 */
export function verifyBearer(dependencies: Dependencies, challenge: Challenge): Verifier {
  const { keys } = dependencies;
  const attempts = countAuthAttempts(dependencies.metrics);

  function fail(outcome: AuthOutcome): Challenge['invalid'] {
    attempts[outcome].value++;
    return challenge.invalid;
  }

  return (exchange, credential) => {
    if (credential.length > maxSecretLength) {
      attempts.malformed.value++;
      return challenge.oversize;
    }
    if (secretPattern.test(credential) && parseSecret(credential) === null) return fail('malformed');
    const digest = hash('sha256', credential, 'hex');
    const known = keys.findBySecretDigest(digest);
    if (known === undefined) return fail('unknown');
    if (known.key.kind !== 'bearer') return fail('wrong_kind');
    const nowMs = dependencies.now();
    const outcome = unusable(known, nowMs) ?? secretState(known.key.secrets, digest, nowMs);
    if (outcome !== 'success') return fail(outcome);
    attempts.success.value++;
    return setCallerKey(exchange, known, challenge);
  };
}

function secretState(secrets: readonly Secret[], digest: string, nowMs: number): AuthOutcome {
  for (const secret of secrets) {
    if (secret.sha256 !== digest) continue;
    return secret.expiresAt !== undefined && secret.expiresAt <= nowMs ? 'expired' : 'success';
  }
  return 'unknown';
}
