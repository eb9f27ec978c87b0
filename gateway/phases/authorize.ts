import type { Environment } from '#contract/keys.ts';
import type { Key } from '#contract/registry.ts';
import type { RouteContext } from '../compile.ts';
import type { Phase } from '../pipeline.ts';
import { Refusal, refusal } from '../refusal.ts';
import { compileAddressRules } from './addresses.ts';

/** Whether the caller, now known, may use the route: addresses of the key, environment, scopes, roles. */
export function authorize({ route }: RouteContext): Phase | null {
  const rules = route.authentication === 'none' ? {} : (route.authentication ?? {});
  const environments: ReadonlySet<Environment> | null = route.environments
    ? new Set(route.environments)
    : null;
  const scopes = rules.scopes?.length ? rules.scopes : null;
  const roles = rules.roles?.length ? rules.roles : null;
  const hasKeys = route.authentication !== 'none';
  if (environments === null && !hasKeys) return null;
  const scopesAny = rules.scopesMatch === 'any';
  const rolesAny = rules.rolesMatch === 'any';
  const missing = new Refusal(
    'scope_missing',
    scopes === null
      ? []
      : [
          'WWW-Authenticate',
          `Bearer realm="tollgate", error="insufficient_scope", scope="${scopes.join(' ')}"`,
        ],
  );

  return ({ consumer, key, clientIp }) => {
    if (key !== null && key.addresses !== undefined && !admitsAddress(key, clientIp)) {
      return refusal('address_not_allowed');
    }
    // Callers without an environment of their own reach the live targets.
    if (environments !== null && !environments.has(consumer?.environment ?? 'live')) {
      return refusal('environment_not_allowed');
    }
    if (scopes !== null && !holds(consumer?.scopes, scopes, scopesAny)) return missing;
    if (roles !== null && !holds(consumer?.roles, roles, rolesAny)) return missing;
    return undefined;
  };
}

const keyAddresses = new WeakMap<Key, ReturnType<typeof compileAddressRules>>();

function admitsAddress(key: Key, address: string): boolean {
  let admits = keyAddresses.get(key);
  if (admits === undefined) {
    admits = compileAddressRules(key.addresses!);
    keyAddresses.set(key, admits);
  }
  return admits === null || admits(address);
}

function holds(held: readonly string[] | undefined, required: readonly string[], any: boolean): boolean {
  if (held === undefined) return false;
  return any ? required.some((name) => held.includes(name)) : required.every((name) => held.includes(name));
}
