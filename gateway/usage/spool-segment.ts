import { crc32 } from 'node:zlib';

/**
 * Records in a spool segment: magic (u32), payload length (u32), CRC-32 of payload (u32), events in it (u32), payload;
 * little-endian. The magic lets a reader find the next record after a damaged one.
 */
export const recordHeaderBytes = 16;
const magic = 0x52504754;
const magicBytes = Buffer.from('TGPR');
const maxPayloadBytes = 64 << 20;

export interface SpoolRecord {
  readonly payload: Buffer;
  readonly events: number;
  /** Offset at which the next record begins. */
  readonly end: number;
}

export function recordHeader(payload: Uint8Array, events: number): Buffer {
  const header = Buffer.allocUnsafe(recordHeaderBytes);
  header.writeUInt32LE(magic, 0);
  header.writeUInt32LE(payload.length, 4);
  header.writeUInt32LE(crc32(payload), 8);
  header.writeUInt32LE(events, 12);
  return header;
}

/**
 * Reads the record at `offset` of `bytes`. `short`: the bytes end before the record does (`need` more from `offset`);
 * `damaged`: no whole record begins here.
 */
export function readRecord(
  bytes: Buffer,
  offset: number,
): SpoolRecord | { readonly fault: 'short'; readonly need: number } | { readonly fault: 'damaged' } {
  if (offset + recordHeaderBytes > bytes.length) return { fault: 'short', need: recordHeaderBytes };
  if (bytes.readUInt32LE(offset) !== magic) return { fault: 'damaged' };
  const length = bytes.readUInt32LE(offset + 4);
  if (length > maxPayloadBytes) return { fault: 'damaged' };
  const end = offset + recordHeaderBytes + length;
  if (end > bytes.length) return { fault: 'short', need: recordHeaderBytes + length };
  const payload = bytes.subarray(offset + recordHeaderBytes, end);
  if (crc32(payload) !== bytes.readUInt32LE(offset + 8)) return { fault: 'damaged' };
  return { payload, events: bytes.readUInt32LE(offset + 12), end };
}

/** The offset after `offset` at which a record may begin, or -1. */
export function findRecord(bytes: Buffer, offset: number): number {
  return bytes.indexOf(magicBytes, offset + 1);
}

/** The number of events in the whole records of a segment from `offset` on. */
export function countEvents(bytes: Buffer, offset: number): number {
  let events = 0;
  let at = offset;
  while (at >= 0 && at + recordHeaderBytes <= bytes.length) {
    const record = readRecord(bytes, at);
    if ('fault' in record) {
      at = findRecord(bytes, at);
      continue;
    }
    events += record.events;
    at = record.end;
  }
  return events;
}
