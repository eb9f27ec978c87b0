import { lookup as resolve } from 'node:dns';
import { Agent } from 'undici';
import { AddressRefused, createAddressCheck } from './addresses.ts';

type Resolve = (
  hostname: string,
  options: { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: { address: string; family: number }[]) => void,
) => void;

/**
 * An undici agent for addresses that customers chose. What is judged is the address that a name was resolved to as it is
 * connected to, so that no name can point inside after it was checked. It connects to allowed addresses only; other attempts fail with {@link AddressRefused}.
 * `resolveName` is how names are resolved (default: as the system does).
 */
export function createEgressAgent(
  allowedNetworks: readonly string[],
  timeoutMs: number,
  resolveName: Resolve = resolve as unknown as Resolve,
): Agent {
  const mayConnect = createAddressCheck(allowedNetworks);
  const guarded = (
    hostname: string,
    options: { all?: boolean },
    callback: (error: Error | null, address?: unknown, family?: number) => void,
  ): void => {
    resolveName(hostname, { all: true }, (error, addresses) => {
      if (error) return callback(error);
      const allowed = addresses.filter(({ address }) => mayConnect(address));
      const [first] = allowed;
      if (!first) return callback(new AddressRefused(`${hostname} has no address that may be connected to`));
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
  return new Agent({
    connect: { timeout: timeoutMs, lookup: guarded as never },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    keepAliveTimeout: 1000,
  });
}
