import type { AddressRules } from '#contract/access.ts';
import type { RoutingInput } from '../compile.ts';
import { checkPolicies } from '../policies/apply.ts';
import type { Policy } from '../policies/policy.ts';
import { parseAddresses } from '../routing/addresses.ts';

/**
 * What of routing this gateway could not put in force as it is meant, for `checkRouting`: policies that it does not
 * have or that are configured wrongly, credentials for any origin, and networks that are none. Left aside they would silently let in what they are to keep out.
 */
export function checkRouting(routing: RoutingInput, policies: ReadonlyMap<string, Policy>): string[] {
  const errors: string[] = [...checkPolicies(routing, policies)];
  for (const route of routing.routes.values()) {
    for (const entry of invalidNetworks(route.addresses)) {
      errors.push(`route ${route.id}: ${JSON.stringify(entry)} is neither an address nor a network`);
    }
    if (route.cors?.credentials === true && route.cors.origins.includes('*')) {
      errors.push(`route ${route.id}: cors: credentials are for named origins, never for "*"`);
    }
  }
  return errors;
}

function invalidNetworks(rules: AddressRules | undefined): string[] {
  if (rules === undefined) return [];
  return parseAddresses([...(rules.allow ?? []), ...(rules.deny ?? [])]).invalid;
}
