import { createPublicKey, hash, type KeyObject, randomBytes, verify } from 'node:crypto';
import type { Key } from '#contract/registry.ts';
import {
  type MessageSignature,
  maxNonceLength,
  missingComponent,
  parseContentDigest,
  parseSignatures,
  type SignatureAlgorithm,
  signatureBase,
  signatureWindowSeconds,
} from '#contract/signing.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import type { PhaseResult } from '../pipeline.ts';
import { type Refusal, refusal } from '../refusal.ts';
import { equalsHex, hmacSha256Hex } from './body-hmac.ts';
import { isOtherCaller, setCallerKey, unusable, type Verifier } from './caller.ts';
import type { Challenge } from './challenge.ts';
import type { KnownKey } from './key-lookup.ts';
import type { NonceVerdict } from './nonces.ts';
import { type AuthOutcome, countAuthAttempts } from './outcome.ts';
import { joinField, SignableExchange } from './signable-exchange.ts';

const maxFieldLength = 8192;
const nobody = randomBytes(24).toString('base64url');
const nobodysKey = publicKeyOf('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo');
const publicKeys = new WeakMap<Key, KeyObject | null>();

type Checked = { readonly known: KnownKey; readonly signature: MessageSignature };

/**
 * RFC 9421 signatures: `hmac-sha256` with the secret of an `api_key` key, or `ed25519` with a registered public key.
 * The head is verified before a byte of the body is waited for; a nonce is spent only by a request that is valid.
 */
export function verifySignature(
  dependencies: Dependencies,
  challenge: Challenge,
  maxBodyBytes: number,
): Verifier {
  const { keys, nonces } = dependencies;
  const attempts = countAuthAttempts(dependencies.metrics);

  function fail(outcome: AuthOutcome, refused: Refusal): Refusal {
    attempts[outcome].value++;
    return refused;
  }

  function checkHead(exchange: Exchange): Checked | Refusal {
    const signature = chooseSignature(exchange);
    if (signature === null) return fail('malformed', challenge.malformedSignature);
    const { keyId, created, expires, nonce } = signature;
    const nowMs = dependencies.now();
    const hasBody = exchange.bodyLength !== 0;
    if (created === null || nonce === null || nonce.length > maxNonceLength || keyId === null) {
      return fail('malformed', challenge.malformedSignature);
    }
    if (missingComponent(signature.input, hasBody) !== null) {
      return fail('malformed', challenge.malformedSignature);
    }
    const base = signatureBase(new SignableExchange(exchange), signature.input);
    if (base === null) return fail('malformed', challenge.malformedSignature);
    const ageSeconds = nowMs / 1000 - created;
    if (Math.abs(ageSeconds) > signatureWindowSeconds || (expires !== null && expires * 1000 <= nowMs)) {
      return fail('expired', challenge.signatureExpired);
    }
    const known = keys.find(keyId);
    const matches = isSignedBy(known, signature, Buffer.from(base, 'latin1'), nowMs);
    if (known === undefined) return fail('unknown', challenge.invalid);
    const outcome = unusable(known, nowMs) ?? (matches ? 'success' : 'bad_signature');
    return outcome === 'success' ? { known, signature } : fail(outcome, challenge.invalid);
  }

  function isSignedBy(
    known: KnownKey | undefined,
    { signature, algorithm }: MessageSignature,
    base: Buffer,
    nowMs: number,
  ): boolean {
    const used =
      algorithm ?? ((signature.length === 64 ? 'ed25519' : 'hmac-sha256') satisfies SignatureAlgorithm);
    if (used === 'ed25519') {
      const publicKey = known === undefined ? null : registeredKey(known.key);
      return verify(null, base, publicKey ?? nobodysKey!, signature) && publicKey !== null;
    }
    const presented = Buffer.from(signature).toString('hex');
    const secrets = known?.key.kind === 'api_key' ? keys.secretsOf(known, nowMs) : [];
    if (secrets.length === 0) equalsHex(hmacSha256Hex(nobody, base), presented, 0);
    for (const secret of secrets) {
      if (equalsHex(hmacSha256Hex(secret, base), presented, 0)) return used === 'hmac-sha256';
    }
    return false;
  }

  function checkBody(
    exchange: Exchange,
    checked: Checked,
    body: Buffer | null,
  ): PhaseResult | Promise<PhaseResult> {
    if (body === null) return fail('body_too_large', challenge.bodyTooLarge);
    const stated = joinField(exchange.headers, 'content-digest');
    if (stated !== null ? !isDigestOf(stated, body) : body.length > 0) {
      return fail('bad_signature', challenge.digestMismatch);
    }
    const { signature } = checked;
    const known = keys.find(checked.known.key.id);
    const nowMs = dependencies.now();
    if (known === undefined) return fail('unknown', challenge.invalid);
    const outcome = unusable(known, nowMs);
    if (outcome !== null) return fail(outcome, challenge.invalid);
    if (isOtherCaller(exchange, known)) return fail('malformed', challenge.conflict);
    const expiresAtMs = (signature.created! + signatureWindowSeconds + 1) * 1000;
    const verdict = nonces.remember(known.key.id, signature.nonce!, expiresAtMs, nowMs);
    if (verdict instanceof Promise) return verdict.then((late) => conclude(exchange, known, late));
    return conclude(exchange, known, verdict);
  }

  function conclude(exchange: Exchange, known: KnownKey, verdict: NonceVerdict): PhaseResult {
    if (verdict === 'seen') return fail('replayed', challenge.replayed);
    if (verdict === 'unavailable') return refusal('unavailable');
    attempts.success.value++;
    return setCallerKey(exchange, known, challenge);
  }

  return (exchange) => {
    const checked = checkHead(exchange);
    if (!('known' in checked)) return checked;
    const body = exchange.collectBody(maxBodyBytes);
    if (body instanceof Promise) return body.then((whole) => checkBody(exchange, checked, whole));
    return checkBody(exchange, checked, body);
  };
}

/** The one signature that states a key id; null when there is none, several, or nonsense. */
function chooseSignature(exchange: Exchange): MessageSignature | null {
  const input = joinField(exchange.headers, 'signature-input');
  const value = joinField(exchange.headers, 'signature');
  if (input === null || value === null) return null;
  if (input.length > maxFieldLength || value.length > maxFieldLength) return null;
  const signatures = parseSignatures(input, value)?.filter(({ keyId }) => keyId !== null) ?? [];
  // Others may sign the same request for somebody else.
  const ours =
    signatures.length > 1 ? signatures.filter(({ keyId }) => keyId!.startsWith('ak_')) : signatures;
  return ours.length === 1 ? ours[0]! : null;
}

function isDigestOf(field: string, body: Buffer): boolean {
  const stated = parseContentDigest(field);
  if (stated === null) return false;
  const { sha256, sha512 } = stated;
  return (
    (sha256 === null || hash('sha256', body, 'buffer').equals(sha256)) &&
    (sha512 === null || hash('sha512', body, 'buffer').equals(sha512))
  );
}

function registeredKey(key: Key): KeyObject | null {
  if (key.publicKey === undefined) return null;
  let found = publicKeys.get(key);
  if (found === undefined) {
    found = publicKeyOf(Buffer.from(key.publicKey, 'base64').toString('base64url'));
    publicKeys.set(key, found);
  }
  return found;
}

function publicKeyOf(x: string): KeyObject | null {
  try {
    return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  } catch {
    return null;
  }
}
