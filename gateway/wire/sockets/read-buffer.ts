const bufferBytes = 65_536;
const slabBytes = 65_536;
const maxSlabPiece = 8192;

/**
 * Where sockets read into by default: what arrives is dealt with before the next read, so that one buffer serves all
 * connections of a worker.
 */
export const sharedBuffer: Buffer = Buffer.allocUnsafeSlow(bufferBytes);

/** Buffers that nobody has kept. Large bodies would otherwise make so much garbage that collecting it costs more than they do. */
const free: Buffer[] = [];
const maxFree = 32;

/** A buffer that whoever receives it may keep. */
export function ownBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
}

/** Gives an own buffer back that nothing refers to any more. */
export function recycle(buffer: Buffer): void {
  if (free.length < maxFree && buffer.length === bufferBytes) free.push(buffer);
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
