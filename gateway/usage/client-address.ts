import { createHmac } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** What of a client's address goes into usage events. */
export type AddressPolicy = 'whole' | 'truncated' | 'hashed' | 'none';

/**
 * Makes the function that applies a policy. `truncated` keeps the /24 (IPv4) or /48 (IPv6) network; `hashed` is
 * 16 hex digits of HMAC-SHA256 under `hashKey`, so that one client stays one client without its address being kept.
 */
export function createAddressPolicy(
  policy: AddressPolicy,
  hashKey: string,
): (address: string) => string | null {
  if (policy === 'none') return () => null;
  if (policy === 'whole') return (address) => address;
  if (policy === 'truncated') return truncateAddress;
  return (address) => createHmac('sha256', hashKey).update(address).digest('hex').slice(0, 16);
}

export function truncateAddress(address: string): string {
  const plain = address.startsWith('::ffff:') && isIPv4(address.slice(7)) ? address.slice(7) : address;
  if (isIPv4(plain)) return plain.slice(0, plain.lastIndexOf('.') + 1).concat('0');
  const zone = plain.indexOf('%');
  const [head = '', tail] = (zone < 0 ? plain : plain.slice(0, zone)).split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':');
    while (groups.length + last.length < 8) groups.push('0');
    groups.push(...last);
  }
  const kept = groups.slice(0, 3).map((group) => (Number.parseInt(group, 16) || 0).toString(16));
  while (kept.length > 0 && kept.at(-1) === '0') kept.pop();
  return `${kept.join(':')}::`;
}
