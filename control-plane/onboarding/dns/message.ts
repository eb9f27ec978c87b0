/** The part of the DNS wire format (RFC 1035, RFC 2136) that dynamic updates need. */

export const recordTypes = { A: 1, CNAME: 5, SOA: 6, TXT: 16, AAAA: 28, TSIG: 250, ANY: 255 } as const;
export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'TXT';
const classIn = 1;
const classNone = 254;
export const classAny = 255;
const opcodeUpdate = 5;

export interface DnsRecord {
  readonly type: RecordType;
  /** An address, a host name, or text. */
  readonly value: string;
}

/** One step of an update. Without `record` all records of `type` (or of every type) at the name are removed. */
export type DnsChange =
  | { readonly action: 'add'; readonly name: string; readonly ttlSeconds: number; readonly record: DnsRecord }
  | { readonly action: 'remove'; readonly name: string; readonly record: DnsRecord }
  | { readonly action: 'clear'; readonly name: string; readonly type: RecordType | 'ANY' };

/** A domain name in wire form, lower case; a final dot is optional. Throws a RangeError when it is not one. */
export function encodeName(name: string): Buffer {
  const labels = name
    .toLowerCase()
    .replace(/\.$/, '')
    .split('.')
    .filter((label, _, all) => label !== '' || all.length > 1);
  const parts: Buffer[] = [];
  for (const label of labels) {
    const bytes = Buffer.from(label, 'latin1');
    if (bytes.length === 0 || bytes.length > 63)
      throw new RangeError(`not a domain name: ${JSON.stringify(name)}`);
    parts.push(Buffer.from([bytes.length]), bytes);
  }
  parts.push(Buffer.from([0]));
  const wire = Buffer.concat(parts);
  if (wire.length > 255) throw new RangeError(`domain name too long: ${JSON.stringify(name)}`);
  return wire;
}

function encodeIpv4(address: string): Buffer {
  const numbers = address.split('.').map(Number);
  if (numbers.length !== 4 || numbers.some((n) => !Number.isInteger(n) || n < 0 || n > 255)) {
    throw new RangeError(`not an IPv4 address: ${JSON.stringify(address)}`);
  }
  return Buffer.from(numbers);
}

function encodeIpv6(address: string): Buffer {
  const invalid = (): never => {
    throw new RangeError(`not an IPv6 address: ${JSON.stringify(address)}`);
  };
  const halves = address.split('::');
  if (halves.length > 2) invalid();
  const groupsOf = (text: string | undefined): number[] =>
    (text ?? '') === ''
      ? []
      : text!.split(':').flatMap((group) => {
          if (group.includes('.')) {
            const [a, b, c, d] = encodeIpv4(group);
            return [(a! << 8) | b!, (c! << 8) | d!];
          }
          return /^[0-9a-fA-F]{1,4}$/.test(group) ? [Number.parseInt(group, 16)] : invalid();
        });
  const head = groupsOf(halves[0]);
  const tail = groupsOf(halves[1]);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) invalid();
  const bytes = Buffer.alloc(16);
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  for (let i = 0; i < 8; i++) bytes.writeUInt16BE(groups[i]!, i * 2);
  return bytes;
}

function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length || at === 0; at += 255) {
    const part = bytes.subarray(at, at + 255);
    parts.push(Buffer.from([part.length]), part);
  }
  return Buffer.concat(parts);
}

function encodeData({ type, value }: DnsRecord): Buffer {
  switch (type) {
    case 'A':
      return encodeIpv4(value);
    case 'AAAA':
      return encodeIpv6(value);
    case 'CNAME':
      return encodeName(value);
    case 'TXT':
      return encodeText(value);
  }
}

/** A resource record in wire form. */
export function encodeRecord(
  name: string,
  type: number,
  dnsClass: number,
  ttlSeconds: number,
  data: Buffer,
): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(dnsClass, 2);
  fixed.writeUInt32BE(ttlSeconds, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fixed, data]);
}

function encodeChange(change: DnsChange): Buffer {
  switch (change.action) {
    case 'add': {
      const { name, ttlSeconds, record } = change;
      return encodeRecord(name, recordTypes[record.type], classIn, ttlSeconds, encodeData(record));
    }
    case 'remove': {
      const { name, record } = change;
      return encodeRecord(name, recordTypes[record.type], classNone, 0, encodeData(record));
    }
    case 'clear':
      return encodeRecord(change.name, recordTypes[change.type], classAny, 0, Buffer.alloc(0));
  }
}

/** An UPDATE message for one zone (RFC 2136), without signature. */
export function encodeUpdate(id: number, zone: string, changes: readonly DnsChange[]): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(opcodeUpdate << 11, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(changes.length, 8);
  const question = Buffer.alloc(4);
  question.writeUInt16BE(recordTypes.SOA, 0);
  question.writeUInt16BE(classIn, 2);
  return Buffer.concat([header, encodeName(zone), question, ...changes.map(encodeChange)]);
}

const responseCodes: Readonly<Record<number, string>> = {
  1: 'FORMERR',
  2: 'SERVFAIL',
  3: 'NXDOMAIN',
  4: 'NOTIMP',
  5: 'REFUSED',
  6: 'YXDOMAIN',
  7: 'YXRRSET',
  8: 'NXRRSET',
  9: 'NOTAUTH',
  10: 'NOTZONE',
  16: 'BADSIG',
  17: 'BADKEY',
  18: 'BADTIME',
};

/** The name of a response code other than 0. */
export function nameResponseCode(code: number): string {
  return responseCodes[code] ?? `code ${code}`;
}

export interface ResponseRecord {
  readonly type: number;
  /** Where the record begins in the message. */
  readonly start: number;
  /** The record's data. */
  readonly data: Buffer;
}

export interface DnsResponse {
  readonly id: number;
  readonly code: number;
  readonly additional: readonly ResponseRecord[];
}

/** Parses a response as far as updates need it; throws a RangeError when it is cut short. */
export function parseResponse(message: Buffer): DnsResponse {
  const id = message.readUInt16BE(0);
  const flags = message.readUInt16BE(2);
  const counts = [4, 6, 8, 10].map((at) => message.readUInt16BE(at));
  let at = 12;
  for (let i = 0; i < counts[0]!; i++) at = skipName(message, at) + 4;
  const additional: ResponseRecord[] = [];
  for (let section = 1; section <= 3; section++) {
    for (let i = 0; i < counts[section]!; i++) {
      const start = at;
      at = skipName(message, at);
      const type = message.readUInt16BE(at);
      const length = message.readUInt16BE(at + 8);
      const data = message.subarray(at + 10, at + 10 + length);
      if (data.length < length) throw new RangeError('the message is cut short');
      at += 10 + length;
      if (section === 3) additional.push({ type, start, data });
    }
  }
  return { id, code: flags & 15, additional };
}

/** The offset after a name, which may end in a compression pointer. */
export function skipName(message: Buffer, start: number): number {
  let at = start;
  for (;;) {
    const length = message.readUInt8(at);
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    at += 1 + length;
  }
}
