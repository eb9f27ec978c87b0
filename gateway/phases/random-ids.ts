import { randomFillSync } from 'node:crypto';

/** Random bytes for a trace id and a span id. */
const idBytes = 24;
const pool = Buffer.alloc(idBytes * 1024);
let at = pool.length;

/** 48 random hex digits: 32 for a trace id, 16 for a span id. Random bytes are drawn for a thousand ids at a time. */
export function randomIds(): string {
  if (at === pool.length) {
    randomFillSync(pool);
    at = 0;
  }
  const ids = pool.toString('hex', at, at + idBytes);
  at += idBytes;
  return ids;
}
