import type { AddressRules } from '#contract/access.ts';
import type { RoutingInput } from '../compile.ts';
import { parseAddresses } from '../routing/addresses.ts';

/**
 * What of routing this gateway could not put in force as it is meant, for `checkRouting`: policies that it does not
 * have and networks that are none. Left aside they would silently let in what they are to keep out.
 */
export function checkRouting(routing: RoutingInput, policies: ReadonlySet<string>): string[] {
  const errors: string[] = [];
  for (const route of routing.routes.values()) {
    for (const { name } of route.policies ?? []) {
      if (!policies.has(name)) errors.push(`route ${route.id}: there is no policy ${JSON.stringify(name)}`);
    }
    for (const entry of invalidNetworks(route.addresses)) {
      errors.push(`route ${route.id}: ${JSON.stringify(entry)} is neither an address nor a network`);
    }
  }
  return errors;
}

function invalidNetworks(rules: AddressRules | undefined): string[] {
  if (rules === undefined) return [];
  return parseAddresses([...(rules.allow ?? []), ...(rules.deny ?? [])]).invalid;
}
