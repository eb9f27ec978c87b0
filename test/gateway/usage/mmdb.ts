/** Writes a small MMDB file (MaxMind DB 2.0) that maps IPv4 networks to countries. */
export function makeMmdb(countries: Readonly<Record<string, string>>): Buffer {
  type Node = [Node | number | null, Node | number | null];
  const root: Node = [null, null];
  const data: Buffer[] = [];
  let dataLength = 0;
  for (const [network, country] of Object.entries(countries)) {
    const [address, bits] = network.split('/') as [string, string];
    const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    const record = encode({ country: { iso_code: country } });
    let node = root;
    for (let depth = 0; depth < Number(bits); depth++) {
      const side = Math.floor(value / 2 ** (31 - depth)) % 2;
      if (depth === Number(bits) - 1) node[side] = dataLength;
      else {
        node[side] ??= [null, null];
        node = node[side] as Node;
      }
    }
    data.push(record);
    dataLength += record.length;
  }
  const nodes: Node[] = [root];
  for (let i = 0; i < nodes.length; i++) {
    for (const side of nodes[i]!) if (Array.isArray(side)) nodes.push(side);
  }
  const tree = Buffer.alloc(nodes.length * 6);
  nodes.forEach((node, i) => {
    node.forEach((side, which) => {
      const pointer =
        side === null ? nodes.length : Array.isArray(side) ? nodes.indexOf(side) : nodes.length + 16 + side;
      tree.writeUIntBE(pointer, i * 6 + which * 3, 3);
    });
  });
  const metadata = encode({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1_700_000_000,
    database_type: 'Test-Country',
    description: { en: 'test' },
    ip_version: 4,
    languages: 'en',
    node_count: nodes.length,
    record_size: 24,
  });
  return Buffer.concat([
    tree,
    Buffer.alloc(16),
    ...data,
    Buffer.from('abcdef', 'hex'),
    Buffer.from('MaxMind.com'),
    metadata,
  ]);
}

function encode(value: string | number | object): Buffer {
  if (typeof value === 'string')
    return Buffer.concat([Buffer.from([0x40 | value.length]), Buffer.from(value)]);
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([Buffer.from([0xc4]), bytes]);
  }
  const entries = Object.entries(value) as [string, string | number | object][];
  return Buffer.concat([
    Buffer.from([0xe0 | entries.length]),
    ...entries.flatMap(([key, member]) => [encode(key), encode(member)]),
  ]);
}
