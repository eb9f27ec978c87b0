/**
 * The layout of the shared key table: one growable SharedArrayBuffer that the main thread writes and every worker
 * reads. It is cut into pages. Page 0 holds the header; other pages hold records or a part of an index.
 *
 * A record is immutable once an index names it: to change an object is to append a new record and to store its
 * reference in the index slot, in one atomic store. Space of dead records is used again only after every worker has
 * passed between two look-ups, so that readers need neither locks nor retries.
 *
 * Record: kind u8, flags u8, size u16 (in units of 8 bytes), id length u8, padding u8, id (ASCII), payload, padding.
 * Index slot: tag i32, reference i32 (offset in units of 8 bytes; 0 empty, 1 deleted).
 * Index region (header word): its first page in the upper 27 bits, log2 of its slots in the lower 5.
 */
export const pageBytes = 262_144;
export const unitBytes = 8;
export const recordHeaderBytes = 6;
export const maxRecordBytes = pageBytes;
export const maxIdLength = 128;

export const emptySlot = 0;
export const deletedSlot = 1;

export const headerWords = {
  /** Changes when a cached record may be out of date for another reason than its slot. */
  version: 0,
  idIndex: 1,
  digestIndex: 2,
  seed: 3,
} as const;

export const recordKinds = { key: 1, app: 2, plan: 3, dataKey: 4, interned: 5 } as const;
export type RecordKind = keyof typeof recordKinds;
export type RecordKindCode = (typeof recordKinds)[RecordKind];

export const recordFlags = {
  dead: 1,
  /** Distinguishes what a replacing snapshot has named from what it has not. */
  mark: 2,
  /** Not written to disk. */
  transient: 4,
} as const;

export function hashId(seed: number, kind: number, id: string): number {
  let hash = seed ^ kind;
  for (let i = 0; i < id.length; i++) hash = mix(hash, id.charCodeAt(i));
  return hash;
}

/** The same for an id that lies in memory as ASCII. */
export function hashIdBytes(seed: number, kind: number, bytes: Uint8Array, from: number, to: number): number {
  let hash = seed ^ kind;
  for (let i = from; i < to; i++) hash = mix(hash, bytes[i]!);
  return hash;
}

function mix(hash: number, code: number): number {
  const mixed = Math.imul(hash ^ code, 0x5bd1e995);
  return mixed ^ (mixed >>> 15);
}

/** The first slot to look at for a tag. */
export function slotOf(tag: number, log2: number): number {
  return Math.imul(tag, 0x9e3779b1) >>> (32 - log2);
}

export function regionWord(firstPage: number, log2: number): number {
  return (firstPage << 5) | log2;
}

export function regionLog2(region: number): number {
  return region & 31;
}

/** Index of the first 32-bit word of a region. */
export function regionBase(region: number): number {
  return (region >>> 5) * (pageBytes / 4);
}
