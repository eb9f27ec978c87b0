import { crc32 } from 'node:zlib';
import { cacheStates, type LimitOutcome, limitOutcomes, type UsageEvent } from './usage.ts';

/**
 * How usage events travel: batches, column by column, with every distinct string once.
 *
 * Layout, little-endian: `TGUB`, version (u8) and three zero bytes, CRC-32 of all that follows byte 12 (u32),
 * head length (u32), the head as JSON padded with spaces to a multiple of eight, five columns of f64, one column of
 * flags and one of statuses (u16), then ten columns of indexes into the head's `strings` (u16, 65535 is null).
 *
 * A batch is identified by its `source` (one life of one worker) and its `sequence` there: the pair is what makes
 * delivery count once.
 */

export const usageBatchesMediaType = 'application/vnd.tollgate.usage-batches';
export const maxBatchEvents = 4096;

const magic = 0x42554754;
const formatVersion = 1;
const none = 0xffff;
const headOffset = 16;

export const numberColumns = ['occurredAt', 'latencyMs', 'upstreamLatencyMs', 'bytesIn', 'bytesOut'] as const;
export const textColumns = [
  'keyId',
  'appId',
  'accountId',
  'routeId',
  'serviceId',
  'version',
  'method',
  'path',
  'country',
  'clientIp',
] as const;
export type NumberColumn = (typeof numberColumns)[number];
export type TextColumn = (typeof textColumns)[number];

/** Events column by column. `upstreamLatencyMs` is -1 where there was no upstream. */
export type UsageColumns = {
  readonly ids: (string | null)[];
  readonly status: Uint16Array;
  readonly flags: Uint16Array;
} & {
  readonly [K in NumberColumn]: Float64Array;
} & { readonly [K in TextColumn]: (string | null)[] };

export interface BatchIdentity {
  /** One life of one worker of one gateway. */
  readonly source: string;
  /** Counts the batches of a source from 1. */
  readonly sequence: number;
}

export interface BatchHead extends BatchIdentity {
  readonly gateway: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

export interface UsageBatch extends BatchHead {
  readonly count: number;
  readonly columns: UsageColumns;
}

/** The bytes are not a batch that this version understands. */
export class BatchFormatError extends Error {}

/** Allocates empty columns for `capacity` events. */
export function createColumns(capacity: number): UsageColumns {
  const columns: Record<string, unknown> = {
    ids: new Array<string | null>(capacity).fill(null),
    status: new Uint16Array(capacity),
    flags: new Uint16Array(capacity),
  };
  for (const name of numberColumns) columns[name] = new Float64Array(capacity);
  for (const name of textColumns) columns[name] = new Array<string | null>(capacity).fill(null);
  return columns as unknown as UsageColumns;
}

const cacheCodes = new Map<string | null, number>([
  [null, 0],
  ...cacheStates.map((s, i) => [s, i + 1] as const),
]);
const limitCodes = new Map<string | null, number>([
  [null, 0],
  ...limitOutcomes.map((s, i) => [s, i + 1] as const),
]);

/** Packs the small members of an event: environment (2 bits), cache (4), limit (4), overage (1). */
export function packFlags(
  environment: 'test' | 'live' | null,
  cache: string | null,
  limit: LimitOutcome | null,
  overage: boolean,
): number {
  const place = environment === null ? 0 : environment === 'test' ? 1 : 2;
  return place | (cacheCodes.get(cache)! << 2) | (limitCodes.get(limit)! << 6) | (overage ? 1 << 10 : 0);
}

export function environmentOf(flags: number): 'test' | 'live' | null {
  const place = flags & 3;
  return place === 1 ? 'test' : place === 2 ? 'live' : null;
}
export function cacheStateOf(flags: number): UsageEvent['cache'] {
  return cacheStates[((flags >> 2) & 15) - 1] ?? null;
}
export function limitOutcomeOf(flags: number): UsageEvent['limit'] {
  return limitOutcomes[((flags >> 6) & 15) - 1] ?? null;
}
export function overageOf(flags: number): boolean {
  return (flags & (1 << 10)) !== 0;
}

/** Encodes the events `start` to `start + count` of `columns` as one batch in a buffer of its own. */
export function encodeBatch(
  head: BatchHead,
  columns: UsageColumns,
  start: number,
  count: number,
): Uint8Array {
  if (count < 1 || count > maxBatchEvents) throw new RangeError(`a batch has 1 to ${maxBatchEvents} events`);
  const strings: string[] = [];
  const known = new Map<string, number>();
  const indexes = new Uint16Array(count * textColumns.length);
  let at = 0;
  for (const name of textColumns) {
    const column = columns[name];
    let last: string | null = null;
    let lastIndex = none;
    for (let i = start; i < start + count; i++) {
      const value = column[i]!;
      if (value !== last) {
        last = value;
        if (value === null) lastIndex = none;
        else {
          const found = known.get(value);
          if (found === undefined) {
            lastIndex = strings.length;
            known.set(value, lastIndex);
            strings.push(value);
          } else lastIndex = found;
        }
      }
      indexes[at++] = lastIndex;
    }
  }
  const ids =
    start === 0 && columns.ids.length === count ? columns.ids : columns.ids.slice(start, start + count);
  const { source, sequence, gateway, createdAt } = head;
  const json = Buffer.from(JSON.stringify({ source, sequence, gateway, createdAt, count, strings, ids }));
  const headLength = (json.length + 7) & ~7;
  const numbersAt = headOffset + headLength;
  const smallAt = numbersAt + numberColumns.length * 8 * count;
  const size = smallAt + 2 * count * (2 + textColumns.length);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setUint8(4, formatVersion);
  view.setUint32(12, headLength, true);
  bytes.set(json, headOffset);
  bytes.fill(0x20, headOffset + json.length, numbersAt);
  numberColumns.forEach((name, n) => {
    new Float64Array(bytes.buffer, numbersAt + n * 8 * count, count).set(
      columns[name].subarray(start, start + count),
    );
  });
  new Uint16Array(bytes.buffer, smallAt, count).set(columns.flags.subarray(start, start + count));
  new Uint16Array(bytes.buffer, smallAt + 2 * count, count).set(
    columns.status.subarray(start, start + count),
  );
  new Uint16Array(bytes.buffer, smallAt + 4 * count).set(indexes);
  view.setUint32(8, crc32(bytes.subarray(12)), true);
  return bytes;
}

interface RawHead extends BatchHead {
  readonly count: number;
  readonly strings: string[];
  readonly ids: string[];
}

/** Decodes and checks one batch; throws {@link BatchFormatError} for anything that is not whole and well-formed. */
export function decodeBatch(bytes: Uint8Array): UsageBatch {
  const { head, numbersAt, aligned } = openBatch(bytes);
  const { count, strings } = head;
  const smallAt = numbersAt + numberColumns.length * 8 * count;
  if (aligned.length !== smallAt + 2 * count * (2 + textColumns.length)) fail('its length is wrong');
  const columns = {
    ids: head.ids,
    flags: new Uint16Array(aligned.buffer, aligned.byteOffset + smallAt, count),
    status: new Uint16Array(aligned.buffer, aligned.byteOffset + smallAt + 2 * count, count),
  } as unknown as Record<string, unknown>;
  numberColumns.forEach((name, n) => {
    const column = new Float64Array(aligned.buffer, aligned.byteOffset + numbersAt + n * 8 * count, count);
    for (let i = 0; i < count; i++)
      if (!Number.isFinite(column[i])) fail(`${name} has a value that is not a number`);
    columns[name] = column;
  });
  const indexes = new Uint16Array(
    aligned.buffer,
    aligned.byteOffset + smallAt + 4 * count,
    count * textColumns.length,
  );
  textColumns.forEach((name, n) => {
    const column = new Array<string | null>(count);
    for (let i = 0; i < count; i++) {
      const index = indexes[n * count + i]!;
      const value = index === none ? null : strings[index];
      if (value === undefined) fail(`${name} points outside the strings`);
      column[i] = value;
    }
    columns[name] = column;
  });
  const { source, sequence, gateway, createdAt } = head;
  return { source, sequence, gateway, createdAt, count, columns: columns as unknown as UsageColumns };
}

function openBatch(bytes: Uint8Array): { head: RawHead; numbersAt: number; aligned: Uint8Array } {
  if (bytes.length < headOffset) fail('it is too short');
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
  const view = new DataView(aligned.buffer, aligned.byteOffset, aligned.length);
  if (view.getUint32(0, true) !== magic) fail('it does not begin as a batch');
  if (view.getUint8(4) !== formatVersion) fail(`version ${view.getUint8(4)} is not known`);
  if (view.getUint32(8, true) !== crc32(aligned.subarray(12))) fail('its checksum does not match');
  const headLength = view.getUint32(12, true);
  if (headLength % 8 !== 0 || headOffset + headLength > aligned.length) fail('its head length is wrong');
  let head: RawHead;
  try {
    head = JSON.parse(
      Buffer.from(aligned.buffer, aligned.byteOffset + headOffset, headLength).toString(),
    ) as RawHead;
  } catch {
    fail('its head is not JSON');
  }
  checkHead(head);
  return { head, numbersAt: headOffset + headLength, aligned };
}

function checkHead(head: RawHead): void {
  const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1;
  if (typeof head !== 'object' || head === null) fail('its head is not an object');
  if (typeof head.source !== 'string' || head.source === '' || head.source.length > 200)
    fail('source is wrong');
  if (typeof head.gateway !== 'string' || head.gateway.length > 200) fail('gateway is wrong');
  if (!isCount(head.sequence)) fail('sequence is wrong');
  if (!isCount(head.count) || head.count > maxBatchEvents) fail('count is wrong');
  if (!isCount(head.createdAt)) fail('createdAt is wrong');
  if (!Array.isArray(head.strings) || !head.strings.every((s) => typeof s === 'string'))
    fail('strings is wrong');
  if (!Array.isArray(head.ids) || head.ids.length !== head.count) fail('ids is wrong');
  if (!head.ids.every((s) => typeof s === 'string')) fail('ids is wrong');
}

function fail(why: string): never {
  throw new BatchFormatError(`not a usage batch: ${why}`);
}

/** One event of a batch as an object. */
export function eventAt(columns: UsageColumns, i: number): UsageEvent {
  const flags = columns.flags[i]!;
  const upstream = columns.upstreamLatencyMs[i]!;
  return {
    id: columns.ids[i]!,
    occurredAt: columns.occurredAt[i]!,
    keyId: columns.keyId[i]!,
    appId: columns.appId[i]!,
    accountId: columns.accountId[i]!,
    environment: environmentOf(flags),
    routeId: columns.routeId[i]!,
    serviceId: columns.serviceId[i]!,
    version: columns.version[i]!,
    method: columns.method[i] ?? '',
    path: columns.path[i] ?? '',
    status: columns.status[i]!,
    latencyMs: columns.latencyMs[i]!,
    upstreamLatencyMs: upstream < 0 ? null : upstream,
    bytesIn: columns.bytesIn[i]!,
    bytesOut: columns.bytesOut[i]!,
    cache: cacheStateOf(flags),
    limit: limitOutcomeOf(flags),
    overage: overageOf(flags),
    country: columns.country[i]!,
    clientIp: columns.clientIp[i]!,
  };
}

/** Puts event `i` into columns, for producers that have events as objects. */
export function setEvent(columns: UsageColumns, i: number, event: UsageEvent): void {
  columns.ids[i] = event.id;
  for (const name of textColumns) columns[name][i] = event[name];
  columns.occurredAt[i] = event.occurredAt;
  columns.latencyMs[i] = event.latencyMs;
  columns.upstreamLatencyMs[i] = event.upstreamLatencyMs ?? -1;
  columns.bytesIn[i] = event.bytesIn;
  columns.bytesOut[i] = event.bytesOut;
  columns.status[i] = event.status;
  columns.flags[i] = packFlags(event.environment, event.cache, event.limit, event.overage);
}

/** Joins batches for one message: each preceded by its length (u32, little-endian). */
export function joinBatches(batches: readonly Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const batch of batches) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(batch.length);
    parts.push(length, batch);
  }
  return Buffer.concat(parts);
}

/** Undoes {@link joinBatches}; throws {@link BatchFormatError} when the lengths do not add up. */
export function splitBatches(message: Uint8Array): Uint8Array[] {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const batches: Uint8Array[] = [];
  let at = 0;
  while (at < message.length) {
    if (at + 4 > message.length) fail('the message breaks off');
    const length = view.getUint32(at, true);
    if (at + 4 + length > message.length) fail('the message breaks off');
    batches.push(message.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return batches;
}
