import type { Consumer } from '#contract/access.ts';
import type { Exchange } from '../exchange.ts';
import type { PhaseResult } from '../pipeline.ts';
import type { Challenge } from './challenge.ts';
import type { KnownKey } from './key-lookup.ts';
import type { AuthOutcome } from './outcome.ts';
import type { TokenClaims } from './token-claims.ts';

/**
 * Checks one credential that a request presents. On success it has set the exchange's key and consumer and returns
 * undefined.
 */
export type Verifier = (exchange: Exchange, credential: string) => PhaseResult | Promise<PhaseResult>;

const none: readonly string[] = [];

/** Why a key may not be used now, or null. */
export function unusable(known: KnownKey, nowMs: number): AuthOutcome | null {
  const { key } = known;
  if (key.status !== 'active') return 'revoked';
  return key.expiresAt !== undefined && key.expiresAt <= nowMs ? 'expired' : null;
}

/** Whether another credential of the request has named another key. */
export function isOtherCaller(exchange: Exchange, known: KnownKey): boolean {
  return exchange.key !== null && exchange.key.id !== known.key.id;
}

/** Makes a verified key the caller; refuses when another credential of the request has named another key. */
export function setCallerKey(exchange: Exchange, known: KnownKey, challenge: Challenge): PhaseResult {
  const { key } = known;
  if (isOtherCaller(exchange, known)) return challenge.conflict;
  const token: Consumer | null = exchange.consumer;
  exchange.key = key;
  exchange.knownKey = known;
  exchange.consumer = {
    keyId: key.id,
    appId: key.app ?? known.app?.id ?? null,
    accountId: key.account ?? known.app?.account ?? null,
    environment: key.environment,
    subject: token === null ? null : token.subject,
    scopes: token === null ? (key.scopes ?? none) : narrowScopes(token.scopes, key.scopes),
    roles: token === null ? none : token.roles,
  };
  return undefined;
}

/** The scopes of a token that a key with a list of its own also has. */
export function narrowScopes(
  token: readonly string[],
  key: readonly string[] | undefined,
): readonly string[] {
  return key === undefined ? token : token.filter((scope) => key.includes(scope));
}

/** Makes the subject of a verified token the caller, beside the key that another credential has named. */
export function setCallerToken(exchange: Exchange, claims: TokenClaims): void {
  const { consumer, key } = exchange;
  exchange.consumer = {
    keyId: consumer === null ? null : consumer.keyId,
    appId: consumer === null ? null : consumer.appId,
    accountId: consumer === null ? null : consumer.accountId,
    environment: consumer === null ? claims.environment : consumer.environment,
    subject: claims.subject,
    scopes: key === null ? claims.scopes : narrowScopes(claims.scopes, key.scopes),
    roles: claims.roles,
  };
}
