import { BlockList, isIP } from 'node:net';

/** Which addresses a customer's endpoint may have: not those in private, local and special networks (RFC 6890). */

const specialNetworks: readonly string[] = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...[
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.31.196.0/24',
    '192.52.193.0/24',
    '192.88.99.0/24',
    '192.168.0.0/16',
  ],
  ...['192.175.48.0/24', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...[
    '::/128',
    '::1/128',
    '64:ff9b::/96',
    '64:ff9b:1::/48',
    '100::/64',
    '2001::/23',
    '2001:db8::/32',
    '2002::/16',
  ],
  ...['3fff::/20', '5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
];

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', length] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    list.addSubnet(address, length === undefined ? (family === 'ipv6' ? 128 : 32) : Number(length), family);
  }
  return list;
}

const special = listOf(specialNetworks);

/** The address may not be connected to. */
export class AddressRefused extends Error {
  readonly code = 'ADDRESS_REFUSED';
}

/** Says whether an address is public or in one of the networks that are allowed besides. */
export function createAddressCheck(allowedNetworks: readonly string[]): (address: string) => boolean {
  const allowed = listOf(allowedNetworks);
  const isIn = (list: BlockList, address: string): boolean =>
    list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return (address) => {
    if (isIP(address) === 0) return false;
    const inner = embeddedIpv4(address) ?? address;
    return isIn(allowed, inner) || !(isIn(special, inner) || isIn(special, address));
  };
}

/** The IPv4 address inside of an IPv4-mapped or IPv4-compatible IPv6 address. */
function embeddedIpv4(address: string): string | null {
  if (isIP(address) !== 6) return null;
  const normal = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1);
  const match = /^::(?:ffff:)?([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(normal);
  if (!match) return null;
  const [high, low] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** A literal address in a URL is not looked up: it has to be checked before connecting. */
export function refuseLiteral(url: URL, mayConnect: (address: string) => boolean): void {
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
  if (isIP(host) !== 0 && !mayConnect(host)) throw new AddressRefused(`${host} may not be connected to`);
}
