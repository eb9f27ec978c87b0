import type { Credential } from '#contract/access.ts';
import type { RouteContext } from '../compile.ts';
import { verifyBearer } from '../credentials/bearer.ts';
import type { Verifier } from '../credentials/caller.ts';
import { makeChallenge } from '../credentials/challenge.ts';
import { verifyHmac } from '../credentials/hmac.ts';
import { countAuthAttempts } from '../credentials/outcome.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import type { Phase, PhaseResult } from '../pipeline.ts';

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
  const readsApiKey = hmac !== null || bearer !== null;
  const optional = rules.optional === true;

  return (exchange) => {
    const { headers } = exchange;
    let apiKey: string | null = null;
    let authorization: string | null = null;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!;
      if (name === 'x-api-key' && readsApiKey) {
        if (apiKey !== null) {
          attempts.malformed.value++;
          return challenge.duplicate;
        }
        apiKey = headers[i + 1]!;
      } else if (name === 'authorization') {
        if (authorization !== null) {
          attempts.malformed.value++;
          return challenge.duplicate;
        }
        authorization = headers[i + 1]!;
      }
    }
    let verifyApiKey: Verifier | null = null;
    if (apiKey !== null) {
      if (apiKey.length > maxApiKeyLength) {
        attempts.malformed.value++;
        return challenge.oversize;
      }
      verifyApiKey = apiKey.includes(':') ? hmac : bearer;
    }
    let token: string | null = null;
    let verifyToken: Verifier | null = null;
    if (authorization !== null && isBearer(authorization)) {
      token = authorization.slice(7).trim();
      // Beside a key, a token of another kind is the upstream's own.
      if (bearer !== null && (apiKey === null || token.startsWith('sk_'))) {
        verifyToken = bearer;
        exchange.hideAuthorization = true;
      }
    }
    if (verifyApiKey !== null) {
      const result = verifyApiKey(exchange, apiKey!);
      return verifyToken === null ? result : both(result, verifyToken, exchange, token!);
    }
    if (verifyToken !== null) return verifyToken(exchange, token!);
    if (apiKey === null && token === null) {
      if (optional) return undefined;
      attempts.missing.value++;
    } else attempts.not_accepted.value++;
    return challenge.invalid;
  };
}

async function both(
  first: PhaseResult | Promise<PhaseResult>,
  verify: Verifier,
  exchange: Exchange,
  credential: string,
): Promise<PhaseResult> {
  return (await first) ?? verify(exchange, credential);
}

function isBearer(authorization: string): boolean {
  return (
    authorization.length > 7 &&
    authorization.charCodeAt(6) === 0x20 &&
    (authorization.startsWith('Bearer') || authorization.slice(0, 6).toLowerCase() === 'bearer')
  );
}
