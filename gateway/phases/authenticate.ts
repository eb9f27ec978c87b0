import type { Credential } from '#contract/access.ts';
import type { RouteContext } from '../compile.ts';
import { verifyBearer } from '../credentials/bearer.ts';
import type { Verifier } from '../credentials/caller.ts';
import { makeChallenge } from '../credentials/challenge.ts';
import { verifyHmac } from '../credentials/hmac.ts';
import { looksLikeToken, verifyToken } from '../credentials/jwt.ts';
import { countAuthAttempts } from '../credentials/outcome.ts';
import { verifySignature } from '../credentials/signature.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import type { Phase, PhaseResult } from '../pipeline.ts';
import type { Refusal } from '../refusal.ts';

const defaultAccept: readonly Credential[] = ['hmac', 'bearer', 'signature'];
const maxApiKeyLength = 1024;

/**
 * Establishes who is calling, from the credentials that the route accepts. Each of those that a request presents has
 * to be valid, and all have to name one caller. A credential that the route does not accept is left for the upstream,
 * but does not let anybody in.
 */
export function authenticate({ route }: RouteContext, dependencies: Dependencies): Phase | null {
  if (route.authentication === 'none') return null;
  const rules = route.authentication ?? {};
  const accept = new Set(rules.accept ?? defaultAccept);
  const maxSignedBytes = rules.maxSignedBodyBytes ?? dependencies.maxSignedBodyBytes;
  const maxBodyBytes = Math.min(maxSignedBytes, route.maxBodyBytes ?? Number.POSITIVE_INFINITY);
  const challenge = makeChallenge(accept, maxSignedBytes, maxBodyBytes < maxSignedBytes);
  const attempts = countAuthAttempts(dependencies.metrics);
  const hmac = accept.has('hmac') ? verifyHmac(dependencies, challenge, maxBodyBytes) : null;
  const bearer = accept.has('bearer') ? verifyBearer(dependencies, challenge) : null;
  const jwt = accept.has('jwt') ? verifyToken(dependencies, challenge, rules) : null;
  const signature = accept.has('signature') ? verifySignature(dependencies, challenge, maxBodyBytes) : null;
  const readsApiKey = hmac !== null || bearer !== null;
  const requireBoth = rules.require === 'key_and_jwt';
  const optional = rules.optional === true;

  return (exchange) => {
    const { headers } = exchange;
    let apiKey: string | null = null;
    let authorization: string | null = null;
    let signed = false;
    for (let i = 0; i < headers.length; i += 2) {
      switch (headers[i]) {
        case 'x-api-key':
          if (!readsApiKey) break;
          if (apiKey !== null) return malformed(challenge.duplicate);
          apiKey = headers[i + 1]!;
          break;
        case 'authorization':
          if (authorization !== null) return malformed(challenge.duplicate);
          authorization = headers[i + 1]!;
          break;
        case 'signature-input':
          signed = signature !== null;
      }
    }
    let verify: Verifier | null = null;
    let credential = '';
    let verifyNext: Verifier | null = null;
    let nextCredential = '';
    let hasToken = false;
    if (apiKey !== null) {
      if (apiKey.length > maxApiKeyLength) return malformed(challenge.oversize);
      verify = apiKey.includes(':') ? hmac : bearer;
      credential = apiKey;
    }
    const hasKey = verify !== null || signed;
    if (authorization !== null && isBearer(authorization)) {
      const token = authorization.slice(7).trim();
      let verifyBearing: Verifier | null = null;
      if (jwt !== null && looksLikeToken(token)) verifyBearing = jwt;
      // Beside another credential, a token that is no secret of ours is the upstream's own.
      else if (bearer !== null && (token.startsWith('sk_') || (apiKey === null && !signed))) {
        verifyBearing = bearer;
        exchange.hideAuthorization = true;
      }
      if (verify === null) {
        verify = verifyBearing;
        credential = token;
      } else {
        verifyNext = verifyBearing;
        nextCredential = token;
      }
      hasToken = verifyBearing === jwt && jwt !== null;
    }
    if (requireBoth && !(hasToken && hasKey)) {
      attempts.missing.value++;
      return challenge.invalid;
    }
    if (verify === null && !signed) {
      if (optional && apiKey === null) return undefined;
      attempts[apiKey === null && authorization === null ? 'missing' : 'not_accepted'].value++;
      return challenge.invalid;
    }
    if (verify === null) return signature!(exchange, '');
    const result = verify(exchange, credential);
    if (verifyNext === null && !signed) return result;
    return continueWith(exchange, result, verifyNext, nextCredential, signed ? signature : null);
  };

  function malformed(refused: Refusal): Refusal {
    attempts.malformed.value++;
    return refused;
  }
}

async function continueWith(
  exchange: Exchange,
  first: PhaseResult | Promise<PhaseResult>,
  second: Verifier | null,
  credential: string,
  third: Verifier | null,
): Promise<PhaseResult> {
  let result = await first;
  if (result === undefined && second !== null) result = await second(exchange, credential);
  if (result === undefined && third !== null) result = await third(exchange, '');
  return result;
}

function isBearer(authorization: string): boolean {
  return (
    authorization.length > 7 &&
    authorization.charCodeAt(6) === 0x20 &&
    (authorization.startsWith('Bearer') || authorization.slice(0, 6).toLowerCase() === 'bearer')
  );
}
