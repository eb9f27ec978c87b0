import type { Authentication } from '#contract/access.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import type { PhaseResult } from '../pipeline.ts';
import { setCallerToken, type Verifier } from './caller.ts';
import type { Challenge } from './challenge.ts';
import { countAuthAttempts } from './outcome.ts';
import type { TokenClaims } from './token-claims.ts';
import type { TokenFailure } from './tokens.ts';

/** `Authorization: Bearer` with a token of an issuer that the route believes, for an audience that it serves. */
export function verifyToken(
  { tokens, metrics, now }: Dependencies,
  challenge: Challenge,
  { issuers, audiences }: Authentication,
): Verifier {
  const attempts = countAuthAttempts(metrics);

  function conclude(exchange: Exchange, verified: TokenClaims | TokenFailure): PhaseResult {
    if (typeof verified === 'string') {
      attempts[verified === 'expired' ? 'expired' : 'bad_token'].value++;
      if (verified === 'unavailable') return challenge.issuerUnavailable;
      return verified === 'expired' ? challenge.expiredToken : challenge.invalidToken;
    }
    const isMeant =
      (issuers === undefined || issuers.includes(verified.issuer)) &&
      (audiences === undefined || audiences.some((name) => verified.audiences.includes(name)));
    if (!isMeant) {
      attempts.bad_token.value++;
      return challenge.invalidToken;
    }
    attempts.success.value++;
    setCallerToken(exchange, verified);
    return undefined;
  }

  return (exchange, token) => {
    const verified = tokens.verify(token, now());
    if (verified instanceof Promise) return verified.then((late) => conclude(exchange, late));
    return conclude(exchange, verified);
  };
}

/** Whether a bearer credential has the form of a token: three parts. */
export function looksLikeToken(credential: string): boolean {
  const first = credential.indexOf('.');
  const second = credential.indexOf('.', first + 1);
  return first > 0 && second > first && credential.indexOf('.', second + 1) < 0;
}
