import { BlockList, isIP } from 'node:net';

/** A set of IP networks. */
export interface AddressSet {
  has(address: string): boolean;
}

/** Parses addresses and CIDR networks of both families; returns the entries that are neither. */
export function parseAddresses(entries: readonly string[]): { set: AddressSet; invalid: string[] } {
  const list = new BlockList();
  const invalid: string[] = [];
  for (const entry of entries) {
    const [address, bits, rest] = entry.split('/');
    const version = isIP(address!);
    const width = version === 4 ? 32 : 128;
    const prefix = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
    if (version === 0 || rest !== undefined || prefix < 0 || prefix > width) invalid.push(entry);
    else list.addSubnet(address!, prefix, version === 4 ? 'ipv4' : 'ipv6');
  }
  return { set: { has: (address) => contains(list, address) }, invalid };
}

function contains(list: BlockList, address: string): boolean {
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  const version = isIP(plain);
  return version !== 0 && list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
}
