import type { AddressRules } from '#contract/access.ts';
import type { RouteContext } from '../compile.ts';
import type { Phase } from '../pipeline.ts';
import { refusal } from '../refusal.ts';
import { parseAddresses } from '../routing/addresses.ts';

/** Refuses clients whose address the route does not admit, before anything is spent on them. */
export function addresses({ route }: RouteContext): Phase | null {
  const admits = route.addresses ? compileAddressRules(route.addresses) : null;
  if (admits === null) return null;
  return (exchange) => (admits(exchange.clientIp) ? undefined : refusal('address_not_allowed'));
}

/**
 * Which addresses the rules admit: those of no deny list and, where there is an allow list, on it. Null when they
 * admit all. Rules with an entry that cannot be read admit none.
 */
export function compileAddressRules({ allow, deny }: AddressRules): ((address: string) => boolean) | null {
  if (allow === undefined && (deny === undefined || deny.length === 0)) return null;
  const allowed = parseAddresses(allow ?? []);
  const denied = parseAddresses(deny ?? []);
  if (allowed.invalid.length > 0 || denied.invalid.length > 0) return () => false;
  if (allow === undefined) return (address) => !denied.set.has(address);
  return (address) => allowed.set.has(address) && !denied.set.has(address);
}
