const bufferBytes = 65_536;
const slabBytes = 65_536;
const maxSlabPiece = 8192;

/**
 * Where sockets read into by default: what arrives is dealt with before the next read, so that one buffer serves all
 * connections of a worker.
 */
export const sharedBuffer: Buffer = Buffer.allocUnsafeSlow(bufferBytes);

/** A buffer that whoever receives it may keep. */
export function ownBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(bufferBytes);
}

let slab = Buffer.allocUnsafeSlow(slabBytes);
let used = 0;

/** A copy of `chunk[start, end)` to keep; small ones share slabs. */
export function copyPiece(chunk: Buffer, start: number, end: number): Buffer {
  const size = end - start;
  if (size > maxSlabPiece) return Buffer.from(chunk.subarray(start, end));
  if (used + size > slabBytes) {
    slab = Buffer.allocUnsafeSlow(slabBytes);
    used = 0;
  }
  const piece = slab.subarray(used, used + size);
  chunk.copy(piece, 0, start, end);
  used += (size + 7) & ~7;
  return piece;
}
