import { hash } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import type { IssuerSettings } from '#contract/issuers.ts';
import { IssuerKeys, type IssuerKeysOptions } from './issuer-keys.ts';
import { readClaims, type TokenClaims } from './token-claims.ts';
import type { TokenKeys } from './token-keys.ts';

/** `invalid`: whatever is wrong with it; `unavailable`: the issuer's keys could not be fetched yet. */
export type TokenFailure = 'invalid' | 'expired' | 'unavailable';

interface Entry {
  readonly claims: TokenClaims;
  readonly source: IssuerKeys;
  readonly keys: TokenKeys;
  readonly expiresAtMs: number;
  readonly bytes: number;
}

interface Header {
  readonly algorithm: string;
  readonly kid: string | null;
}

const maxTokenLength = 16_384;
const maxCachedMs = 300_000;
const acceptedTypes = new Set(['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt']);

/**
 * Verifies tokens of the configured issuers. Verified ones are remembered by digest until they expire, within a bound
 * in bytes; a change of the issuer's keys forgets them.
 */
export class Tokens {
  readonly #sources = new Map<string, IssuerKeys>();
  readonly #cache: LRUCache<string, Entry>;

  constructor(issuers: readonly IssuerSettings[], options: IssuerKeysOptions, maxCacheBytes = 16 << 20) {
    for (const settings of issuers) this.#sources.set(settings.issuer, new IssuerKeys(settings, options));
    this.#cache = new LRUCache({ maxSize: maxCacheBytes, sizeCalculation: ({ bytes }) => bytes });
  }

  /** Fetches all keys ahead of the first token. */
  async prepare(nowMs: number): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.refresh(nowMs)));
  }

  /** At once for a token that is remembered or cannot be valid. */
  verify(token: string, nowMs: number): TokenClaims | TokenFailure | Promise<TokenClaims | TokenFailure> {
    if (token.length > maxTokenLength) return 'invalid';
    const digest = hash('sha256', token, 'base64url');
    const entry = this.#cache.get(digest);
    if (entry !== undefined) {
      const { source } = entry;
      if (entry.keys === source.keys && nowMs < entry.expiresAtMs) {
        if (source.isStale(nowMs)) void source.refresh(nowMs);
        return entry.claims;
      }
      this.#cache.delete(digest);
    }
    const parts = token.split('.', 4);
    if (parts.length !== 3) return 'invalid';
    const header = readHeader(parts[0]!);
    if (header === null) return 'invalid';
    const issuer = decodeObject(parts[1]!)?.iss;
    const source = typeof issuer === 'string' ? this.#sources.get(issuer) : undefined;
    if (source === undefined || !source.algorithms.includes(header.algorithm)) return 'invalid';
    return this.#verifyWith(source, token, digest, header, nowMs);
  }

  async #verifyWith(
    source: IssuerKeys,
    token: string,
    digest: string,
    header: Header,
    nowMs: number,
  ): Promise<TokenClaims | TokenFailure> {
    if (source.isStale(nowMs)) {
      const refreshed = source.refresh(nowMs);
      if (source.keys === null) await refreshed;
    }
    let key = source.keys?.find(header.algorithm, header.kid) ?? null;
    if (key === null) {
      await source.refresh(nowMs);
      key = source.keys?.find(header.algorithm, header.kid) ?? null;
    }
    const { keys, settings } = source;
    if (keys === null) return 'unavailable';
    if (key === null) return 'invalid';
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: [header.algorithm],
        issuer: settings.issuer,
        ...(settings.audiences ? { audience: settings.audiences } : {}),
        clockTolerance: settings.clockToleranceSeconds ?? 30,
        currentDate: new Date(nowMs),
        requiredClaims: ['exp'],
      });
      const claims = readClaims(payload, settings);
      if (claims === null) return 'invalid';
      const expiresAtMs = Math.min(payload.exp! * 1000, nowMs + maxCachedMs);
      if (expiresAtMs > nowMs) {
        this.#cache.set(digest, { claims, source, keys, expiresAtMs, bytes: sizeOf(claims) });
      }
      return claims;
    } catch (error) {
      if (error instanceof errors.JWTExpired) return 'expired';
      if (error instanceof errors.JOSEError) return 'invalid';
      throw error;
    }
  }

  /** Bytes that remembered tokens take, about. */
  get cachedBytes(): number {
    return this.#cache.calculatedSize;
  }
}

/** Null for whatever may not be believed: no signature, extensions, a key or an address of keys of its own. */
function readHeader(part: string): Header | null {
  const header = decodeObject(part);
  if (header === null) return null;
  const { alg, kid, typ } = header;
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return null;
  for (const name of ['crit', 'b64', 'jwk', 'jku', 'x5u', 'x5c'])
    if (Object.hasOwn(header, name)) return null;
  if (typ !== undefined && !(typeof typ === 'string' && acceptedTypes.has(typ.toLowerCase()))) return null;
  return { algorithm: alg, kid: kid ?? null };
}

function decodeObject(part: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function sizeOf({ subject, audiences, scopes, roles }: TokenClaims): number {
  let bytes = 512 + (subject?.length ?? 0);
  for (const list of [audiences, scopes, roles]) for (const text of list) bytes += 32 + text.length;
  return bytes;
}
