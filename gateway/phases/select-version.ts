import { hash } from 'node:crypto';
import { parseSignatures } from '#contract/signing.ts';
import type { CompiledRoute, RouteContext } from '../compile.ts';
import type { KeyLookup, KnownKey } from '../credentials/key-lookup.ts';
import { joinField } from '../credentials/signable-exchange.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import { answered, type Phase, run } from '../pipeline.ts';
import { Refusal } from '../refusal.ts';

const noSuchVersion = new Refusal(
  'route_not_found',
  [],
  'This resource has no such version; GET /versions lists them.',
);

/**
 * Where a resource has several versions: the one that API-Version asks for, else the one that the key, or its app, is
 * pinned to, else that of the route which stands first. The key is only read here, not believed: what it may do is
 * decided by the route that it leads to.
 */
export function selectVersion({ route, siblings }: RouteContext, { keys }: Dependencies): Phase | null {
  if (!siblings) return null;
  return (exchange) => {
    const asked = exchange.header('api-version');
    if (asked !== undefined) return asked === route.version ? undefined : noSuchVersion;
    const known = presentedKey(exchange, keys);
    const pinned = known?.key.version ?? known?.app?.version;
    if (pinned === undefined || pinned === route.version) return undefined;
    const chosen: CompiledRoute | null = siblings(pinned);
    if (chosen === null) return undefined;
    exchange.route = chosen;
    run(exchange, exchange.decisionOnly ? chosen.decisionPhases : chosen.phases, exchange.observer);
    return answered;
  };
}

function presentedKey(exchange: Exchange, keys: KeyLookup): KnownKey | undefined {
  const apiKey = exchange.header('x-api-key');
  if (apiKey !== undefined) {
    const colon = apiKey.indexOf(':');
    return colon < 0 ? findSecret(apiKey, keys) : keys.find(apiKey.slice(0, colon));
  }
  const authorization = exchange.header('authorization');
  if (authorization?.startsWith('Bearer sk_')) return findSecret(authorization.slice(7), keys);
  const input = joinField(exchange.headers, 'signature-input');
  if (input === null || input.length > 8192) return undefined;
  const value = joinField(exchange.headers, 'signature') ?? '';
  const keyId = parseSignatures(input, value)?.find((signature) => signature.keyId !== null)?.keyId;
  return keyId ? keys.find(keyId) : undefined;
}

function findSecret(secret: string, keys: KeyLookup): KnownKey | undefined {
  return secret.length > 512 ? undefined : keys.findBySecretDigest(hash('sha256', secret, 'hex'));
}
