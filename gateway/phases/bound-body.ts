import type { RouteContext } from '../compile.ts';
import type { Phase } from '../pipeline.ts';
import { refusal } from '../refusal.ts';

/** Refuses a body that states more than the route accepts. Bodies of unknown length are cut off while they stream. */
export function boundBody({ route }: RouteContext): Phase | null {
  const max = route.maxBodyBytes;
  if (max === undefined) return null;
  return (exchange) => {
    if (exchange.bodyLength > max) return refusal('body_too_large');
    exchange.maxBodyBytes = max;
    return undefined;
  };
}
