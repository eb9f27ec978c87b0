import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/**
 * Files of frames: `length u32, CRC-32 of the payload u32, CRC-32 of these eight bytes u32, payload`, little-endian.
 * A frame that ends with the file, or is zero to its end, was being written when the machine or process stopped; any
 * other fault is damage.
 */
export const frameHeaderBytes = 12;
const readBytes = 1 << 20;

/** A file of the registry copy that cannot be trusted. The message names it and says what is wrong. */
export class DiskCopyError extends Error {
  override name = 'DiskCopyError';
}

export function encodeFrame(payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(crc32(payload), 4);
  frame.writeUInt32LE(crc32(frame.subarray(0, 8)), 8);
  frame.set(payload, frameHeaderBytes);
  return frame;
}

/**
 * The payloads of a file, in order; each is valid until the next is asked for. Returns the length of what is whole.
 * Throws DiskCopyError for damage, and unless `mayBeTorn` also for an unfinished end.
 */
export async function* readFrames(path: string, mayBeTorn: boolean): AsyncGenerator<Buffer, number> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    let buffer = Buffer.allocUnsafe(readBytes);
    let filled = 0;
    let start = 0;
    /** File offset of `start`. */
    let offset = 0;
    const need = async (count: number): Promise<boolean> => {
      if (filled - start >= count) return true;
      if (offset + count > size) return false;
      if (start + count > buffer.length) {
        const target = count > buffer.length ? Buffer.allocUnsafe(count + readBytes) : buffer;
        buffer.copy(target, 0, start, filled);
        buffer = target;
        filled -= start;
        start = 0;
      }
      while (filled - start < count) {
        const { bytesRead } = await file.read(
          buffer,
          filled,
          buffer.length - filled,
          offset + filled - start,
        );
        if (bytesRead === 0) return false;
        filled += bytesRead;
      }
      return true;
    };
    while (offset < size) {
      const torn = async (): Promise<number> => {
        if (mayBeTorn) return offset;
        throw new DiskCopyError(`${path}: ends in the middle of a frame at byte ${offset}`);
      };
      if (!(await need(frameHeaderBytes))) return await torn();
      const length = buffer.readUInt32LE(start);
      if (length === 0 || crc32(buffer.subarray(start, start + 8)) !== buffer.readUInt32LE(start + 8)) {
        if (await isZeroFrom(file, offset, size)) return await torn();
        throw new DiskCopyError(`${path}: damaged at byte ${offset}`);
      }
      const expected = buffer.readUInt32LE(start + 4);
      if (!(await need(frameHeaderBytes + length))) return await torn();
      const payload = buffer.subarray(start + frameHeaderBytes, start + frameHeaderBytes + length);
      if (crc32(payload) !== expected) {
        if (offset + frameHeaderBytes + length === size) return await torn();
        throw new DiskCopyError(`${path}: damaged at byte ${offset}`);
      }
      yield payload;
      start += frameHeaderBytes + length;
      offset += frameHeaderBytes + length;
    }
    return offset;
  } finally {
    await file.close();
  }
}

async function isZeroFrom(file: FileHandle, from: number, size: number): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(readBytes);
  for (let offset = from; offset < size; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) break;
    for (let i = 0; i < bytesRead; i++) if (buffer[i] !== 0) return false;
    offset += bytesRead;
  }
  return true;
}
