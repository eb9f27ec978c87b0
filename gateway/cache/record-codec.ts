import type { ResponseRecord } from './stored-response.ts';

const version = 1;

/** A record as bytes: version (1), length of the JSON part (4, big-endian), JSON of all but the body, body. */
export function encodeRecord(record: ResponseRecord): Buffer {
  const { body, ...rest } = record;
  const json = Buffer.from(JSON.stringify(rest), 'utf8');
  const bytes = Buffer.allocUnsafe(5 + json.length + body.byteLength);
  bytes.writeUInt8(version, 0);
  bytes.writeUInt32BE(json.length, 1);
  json.copy(bytes, 5);
  bytes.set(body, 5 + json.length);
  return bytes;
}

/** Null for what this version cannot read. */
export function decodeRecord(bytes: Buffer, allocate: (bytes: number) => Buffer): ResponseRecord | null {
  if (bytes.length < 5 || bytes.readUInt8(0) !== version) return null;
  const start = 5 + bytes.readUInt32BE(1);
  if (start > bytes.length) return null;
  let rest: unknown;
  try {
    rest = JSON.parse(bytes.toString('utf8', 5, start));
  } catch {
    return null;
  }
  if (!isRecord(rest)) return null;
  const body = allocate(bytes.length - start);
  bytes.copy(body, 0, start);
  return { ...rest, body };
}

const numbers = [
  'status',
  'requestTimeMs',
  'responseTimeMs',
  'initialAgeMs',
  'lifetimeMs',
  'staleWhileRevalidateMs',
  'staleIfErrorMs',
] as const;
const texts = ['resource', 'partition', 'selecting', 'routeId'] as const;
const flags = ['noCache', 'mustRevalidate', 'shareable'] as const;
const lists = ['vary', 'headers', 'tags'] as const;

function isRecord(value: unknown): value is Omit<ResponseRecord, 'body'> {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  return (
    numbers.every((name) => typeof record[name] === 'number') &&
    texts.every((name) => typeof record[name] === 'string') &&
    flags.every((name) => typeof record[name] === 'boolean') &&
    lists.every(
      (name) => Array.isArray(record[name]) && record[name].every((item) => typeof item === 'string'),
    ) &&
    (record.consumer === null || typeof record.consumer === 'string') &&
    (record.headers as string[]).length % 2 === 0
  );
}
