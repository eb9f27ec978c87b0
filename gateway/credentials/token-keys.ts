import { createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { type TokenAlgorithm, tokenAlgorithms } from '#contract/issuers.ts';
import { hasWeakModulus } from './weak-modulus.ts';

type JsonWebKey = webcrypto.JsonWebKey;

interface TokenKey {
  readonly kid: string | null;
  readonly algorithms: ReadonlySet<string>;
  readonly key: KeyObject;
}

/** The public keys of an issuer (RFC 7517), those that are sound and fit the algorithms allowed. */
export class TokenKeys {
  readonly #keys: readonly TokenKey[];

  private constructor(keys: readonly TokenKey[]) {
    this.#keys = keys;
  }

  /** Null when the document is no key set, or holds a shared secret, which nobody may publish. */
  static parse(document: unknown, allowed: readonly string[]): TokenKeys | null {
    const listed = (document as { keys?: unknown } | null)?.keys;
    if (!Array.isArray(listed)) return null;
    const keys: TokenKey[] = [];
    for (const jwk of listed as unknown[]) {
      if (typeof jwk !== 'object' || jwk === null) continue;
      if ((jwk as JsonWebKey).kty === 'oct') return null;
      const key = readKey(jwk as JsonWebKey, allowed);
      if (key !== null) keys.push(key);
    }
    return new TokenKeys(keys);
  }

  get size(): number {
    return this.#keys.length;
  }

  /** The one key for a token's header; null when there is none or more than one. */
  find(algorithm: string, kid: string | null): KeyObject | null {
    let found: KeyObject | null = null;
    for (const candidate of this.#keys) {
      if (!candidate.algorithms.has(algorithm) || (kid !== null && candidate.kid !== kid)) continue;
      if (found !== null) return null;
      found = candidate.key;
    }
    return found;
  }
}

function readKey(jwk: JsonWebKey, allowed: readonly string[]): TokenKey | null {
  const { kid, use, alg, key_ops: operations } = jwk as Record<string, unknown>;
  if (use !== undefined && use !== 'sig') return null;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return null;
  if (kid !== undefined && typeof kid !== 'string') return null;
  const possible = algorithmsOf(jwk).filter((name) => allowed.includes(name));
  const algorithms = new Set(alg === undefined ? possible : possible.filter((name) => name === alg));
  if (algorithms.size === 0) return null;
  try {
    const { kty, n, e, crv, x, y } = jwk;
    const key = createPublicKey({ key: { kty, n, e, crv, x, y } as JsonWebKey, format: 'jwk' });
    return kty === 'RSA' && !isSoundRsa(key, n!) ? null : { kid: kid ?? null, algorithms, key };
  } catch {
    return null;
  }
}

function algorithmsOf({ kty, crv }: JsonWebKey): readonly TokenAlgorithm[] {
  const start = (letters: string): readonly TokenAlgorithm[] =>
    tokenAlgorithms.filter((name) => name.startsWith(letters));
  if (kty === 'RSA') return [...start('RS'), ...start('PS')];
  if (kty === 'OKP' && crv === 'Ed25519') return start('Ed');
  if (kty !== 'EC') return [];
  if (crv === 'P-256') return ['ES256'];
  if (crv === 'P-384') return ['ES384'];
  return crv === 'P-521' ? ['ES512'] : [];
}

function isSoundRsa(key: KeyObject, modulus: string): boolean {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < 2048 || modulusLength > 8192) return false;
  if (publicExponent < 3n || publicExponent % 2n === 0n) return false;
  return !hasWeakModulus(BigInt(`0x${Buffer.from(modulus, 'base64url').toString('hex')}`));
}
