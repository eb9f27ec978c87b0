import { maxIdLength, maxRecordBytes, recordHeaderBytes, unitBytes } from './key-table-layout.ts';

const idPattern = /^[\x20-\x7e]+$/;

/** Makes a record. Throws RangeError for an id or a payload that the table cannot hold. */
export function packRecord(kind: number, id: string, payload: Uint8Array): Buffer {
  const length = recordHeaderBytes + id.length + payload.length;
  const size = roundUp(length);
  if (id.length > maxIdLength || !idPattern.test(id)) throw new RangeError('the id cannot be held');
  if (size > maxRecordBytes)
    throw new RangeError(`takes ${size} bytes; at most ${maxRecordBytes} can be held`);
  const record = Buffer.alloc(size);
  record[0] = kind;
  record.writeUInt16LE(size / unitBytes, 2);
  record[4] = id.length;
  record[5] = size - length;
  record.write(id, recordHeaderBytes, 'latin1');
  record.set(payload, recordHeaderBytes + id.length);
  return record;
}

/** The length of the record that begins here, or 0 when it is not whole. */
export function checkRecord(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < recordHeaderBytes) return 0;
  const size = (bytes[at + 2]! | (bytes[at + 3]! << 8)) * unitBytes;
  const content = recordHeaderBytes + bytes[at + 4]! + bytes[at + 5]!;
  return size >= content && size <= end - at && bytes[at] !== 0 ? size : 0;
}

function roundUp(length: number): number {
  return Math.ceil(length / unitBytes) * unitBytes;
}
