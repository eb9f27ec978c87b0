import type { Environment } from '#contract/keys.ts';
import type { RouteContext } from '../compile.ts';
import type { Phase } from '../pipeline.ts';
import { Refusal, refusal } from '../refusal.ts';

/** Whether the caller, now known, may use the route: environment, scopes, roles. */
export function authorize({ route }: RouteContext): Phase | null {
  const rules = route.authentication === 'none' ? {} : (route.authentication ?? {});
  const environments: ReadonlySet<Environment> | null = route.environments
    ? new Set(route.environments)
    : null;
  const scopes = rules.scopes?.length ? rules.scopes : null;
  const roles = rules.roles?.length ? rules.roles : null;
  if (environments === null && scopes === null && roles === null) return null;
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

  return ({ consumer }) => {
    // Callers without an environment of their own reach the live targets.
    if (environments !== null && !environments.has(consumer?.environment ?? 'live')) {
      return refusal('environment_not_allowed');
    }
    if (scopes !== null && !holds(consumer?.scopes, scopes, scopesAny)) return missing;
    if (roles !== null && !holds(consumer?.roles, roles, rolesAny)) return missing;
    return undefined;
  };
}

function holds(held: readonly string[] | undefined, required: readonly string[], any: boolean): boolean {
  if (held === undefined) return false;
  return any ? required.some((name) => held.includes(name)) : required.every((name) => held.includes(name));
}
