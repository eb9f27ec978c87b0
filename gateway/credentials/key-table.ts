import { randomInt } from 'node:crypto';
import { KeyTableIndex } from './key-table-index.ts';
import {
  hashId,
  hashIdBytes,
  headerWords,
  pageBytes,
  recordFlags,
  recordHeaderBytes,
  recordKinds,
  unitBytes,
} from './key-table-layout.ts';
import { PageAllocator } from './key-table-pages.ts';
import { digestTag, KeyTableReader, keyBits, keyDigestsOffset } from './key-table-reader.ts';
import { packRecord } from './packed-record.ts';

export interface KeyTableOptions {
  /** Address space that the table may grow to. Default: 4 GiB. */
  readonly maxBytes?: number;
}

/** How many keys the table holds, by environment and state. */
export interface KeyCounts {
  test: number;
  live: number;
  revoked: number;
}

/**
 * The shared key table as the main thread writes it. Every change is visible to all threads when the call returns.
 * Records that are not keys bump `version`, since keys refer to them.
 */
export class KeyTable extends KeyTableReader {
  readonly #pages: PageAllocator;
  readonly #ids: KeyTableIndex;
  readonly #digests: KeyTableIndex;
  /** Bytes of live records, by page; undefined for pages without records. */
  readonly #liveBytes: (number | undefined)[] = [];
  #head = 0;
  #headEnd = 0;
  #liveTotal = 0;
  #recordPages = 0;
  #mark = 0;
  readonly #counts: KeyCounts = { test: 0, live: 0, revoked: 0 };

  constructor(options: KeyTableOptions = {}) {
    const buffer = reserve(Math.max(options.maxBytes ?? 4 * 1024 ** 3, firstBytes));
    new Int32Array(buffer, 0, 16)[headerWords.seed] = randomInt(2 ** 32 - 1) | 0;
    super(buffer);
    this.#pages = new PageAllocator(buffer, () => this.refresh());
    const bump = () => this.bumpVersion();
    this.#ids = new KeyTableIndex(this, this.#pages, headerWords.idIndex, bump);
    this.#digests = new KeyTableIndex(this, this.#pages, headerWords.digestIndex, bump);
  }

  get size(): number {
    return this.#ids.size;
  }

  get keyCounts(): Readonly<KeyCounts> {
    return this.#counts;
  }

  /** Bytes of live records, of dead ones (and of page ends), and of all pages in use. */
  get usage(): { readonly liveBytes: number; readonly deadBytes: number; readonly pageBytes: number } {
    const filled = this.#recordPages * pageBytes - (this.#headEnd - this.#head);
    return {
      liveBytes: this.#liveTotal,
      deadBytes: filled - this.#liveTotal,
      pageBytes: this.#pages.end * pageBytes,
    };
  }

  reserve(records: number): void {
    this.#ids.reserve(records);
  }

  bumpVersion(): void {
    Atomics.add(this.words, headerWords.version, 1);
  }

  /** Sets a record; false when it is there already with the same payload. */
  set(kind: number, id: string, payload: Uint8Array, flags = 0): boolean {
    return this.setRecord(packRecord(kind, id, payload), flags);
  }

  /** Sets a record from the bytes of one: of `packRecord`, or of `records` here or in another process. */
  setRecord(record: Buffer, flags = 0): boolean {
    const kind = record[0]!;
    const idEnd = recordHeaderBytes + record[4]!;
    const tag = hashIdBytes(this.seed, kind, record, recordHeaderBytes, idEnd);
    const old = this.findTagged(tag, kind, record.toString('latin1', recordHeaderBytes, idEnd));
    if (old !== 0 && this.#keepsSame(old, record.subarray(idEnd, record.length - record[5]!), flags)) {
      return false;
    }
    const offset = this.#append(record.length);
    this.bytes.set(record, offset);
    this.bytes[offset + 1] = flags | this.#mark;
    this.#publish(tag, old, offset);
    return true;
  }

  /** False when there was none. */
  remove(kind: number, id: string): boolean {
    const reference = this.find(kind, id);
    if (reference === 0) return false;
    this.#removeAt(hashId(this.seed, kind, id), reference);
    return true;
  }

  /** Whether a record exists that is kept in memory only. */
  isTransient(reference: number): boolean {
    return (this.bytes[this.offsetOf(reference) + 1]! & recordFlags.transient) !== 0;
  }

  /**
   * Begins a replacement: `endReplacement` removes all records of `kinds` that have not been set (or set to what
   * they were) in between. Transient records stay.
   */
  beginReplacement(): void {
    this.#mark ^= recordFlags.mark;
  }

  /** Removes what is stale; in slices, one for each `next()`, so that the caller can let others run. */
  *endReplacement(kinds: readonly number[]): Generator<void, void> {
    const mark = this.#mark;
    for (let page = 1; page < this.#pages.end; page++) {
      if (this.#liveBytes[page] === undefined) continue;
      for (const offset of this.#pageRecords(page)) {
        const flags = this.bytes[offset + 1]!;
        if ((flags & recordFlags.mark) === mark || flags & recordFlags.transient) continue;
        const kind = this.bytes[offset]!;
        if (!kinds.includes(kind)) {
          this.bytes[offset + 1] = (flags & ~recordFlags.mark) | mark;
          continue;
        }
        this.#removeAt(this.#tagAt(offset), offset / unitBytes);
      }
      yield;
    }
  }

  /**
   * The live records of one kind after another as bytes in the table, page by page: an array for each page. What
   * changes meanwhile may or may not be among them. The table must not be compacted in between.
   */
  *records(kinds: readonly number[]): Generator<Uint8Array[], void> {
    const pages = this.#liveBytes.length;
    for (let page = 1; page < pages; page++) {
      if (this.#liveBytes[page] === undefined) continue;
      const found: Uint8Array[] = [];
      for (const offset of this.#pageRecords(page)) {
        if (this.bytes[offset + 1]! & recordFlags.transient || !kinds.includes(this.bytes[offset]!)) continue;
        found.push(this.bytes.subarray(offset, offset + this.recordBytes(offset)));
      }
      yield found;
    }
  }

  /**
   * Moves the live records out of up to `maxPages` pages that are at most three quarters alive. True when there was one.
   * Their space is free after `takeGarbage` and `release`.
   */
  compact(maxPages: number): boolean {
    const current = this.#headEnd / pageBytes - 1;
    let moved = 0;
    for (let page = 1; page < this.#liveBytes.length && moved < maxPages; page++) {
      const live = this.#liveBytes[page];
      if (live === undefined || live > maxCompactedShare * pageBytes || page === current) continue;
      for (const offset of this.#pageRecords(page)) this.#move(offset);
      this.#liveBytes[page] = undefined;
      this.#recordPages--;
      this.#pages.quarantine(page, 1);
      moved++;
    }
    return moved > 0;
  }

  get hasGarbage(): boolean {
    return this.#pages.hasQuarantined;
  }

  /** Pages that no index names any more. Give them to `release` once every reader has been between look-ups. */
  takeGarbage(): number[] {
    return this.#pages.takeQuarantined();
  }

  release(pages: readonly number[]): void {
    this.#pages.release(pages);
  }

  #append(size: number): number {
    if (this.#head + size > this.#headEnd) {
      const page = this.#pages.allocate(1);
      // A zero in the place of a record says that the rest of its page is empty.
      if (this.#head < this.#headEnd) this.bytes[this.#head] = 0;
      this.#head = page * pageBytes;
      this.#headEnd = this.#head + pageBytes;
      this.#liveBytes[page] = 0;
      this.#recordPages++;
    }
    const offset = this.#head;
    this.#head += size;
    return offset;
  }

  #publish(tag: number, old: number, offset: number): void {
    const reference = offset / unitBytes;
    const isKey = this.bytes[offset] === recordKinds.key;
    this.#account(offset, 1);
    if (isKey) this.#indexDigests(offset, old);
    if (old === 0) this.#ids.insert(tag, reference);
    else {
      this.#ids.replace(tag, old, reference);
      this.#discard(old);
    }
    if (!isKey) this.bumpVersion();
  }

  #removeAt(tag: number, reference: number): void {
    this.#ids.remove(tag, reference);
    const isKey = this.bytes[reference * unitBytes] === recordKinds.key;
    this.#discard(reference);
    if (!isKey) this.bumpVersion();
  }

  #discard(reference: number): void {
    const offset = reference * unitBytes;
    if (this.bytes[offset] === recordKinds.key) {
      for (const at of this.#digestsOf(offset)) this.#digests.remove(digestTag(this.bytes, at), reference);
    }
    this.bytes[offset + 1]! |= recordFlags.dead;
    this.#account(offset, -1);
  }

  #move(from: number): void {
    const size = this.recordBytes(from);
    const to = this.#append(size);
    this.bytes.copyWithin(to, from, from + size);
    this.#ids.replace(this.#tagAt(to), from / unitBytes, to / unitBytes);
    for (const at of this.#digestsOf(to)) {
      this.#digests.replace(digestTag(this.bytes, at), from / unitBytes, to / unitBytes);
    }
    this.#liveBytes[pageOf(to)]! += size;
    this.#liveBytes[pageOf(from)]! -= size;
  }

  #indexDigests(offset: number, old: number): void {
    const reference = offset / unitBytes;
    for (const at of this.#digestsOf(offset)) {
      const tag = digestTag(this.bytes, at);
      if (old !== 0 && this.#digests.replace(tag, old, reference)) continue;
      // A second key with this secret changes which of them a cached answer should be.
      if (this.findByDigest(this.bytes.subarray(at, at + 32)) !== 0) this.bumpVersion();
      this.#digests.insert(tag, reference);
    }
  }

  *#digestsOf(offset: number): Generator<number, void> {
    if (this.bytes[offset] !== recordKinds.key) return;
    const start = this.payloadStart(offset) + keyDigestsOffset;
    const count = this.bytes[start]!;
    for (let n = 0; n < count; n++) yield start + 1 + 32 * n;
  }

  #account(offset: number, sign: 1 | -1): void {
    const size = this.recordBytes(offset) * sign;
    this.#liveBytes[pageOf(offset)]! += size;
    this.#liveTotal += size;
    if (this.bytes[offset] !== recordKinds.key) return;
    const bits = this.bytes[this.payloadStart(offset)]!;
    if (bits & keyBits.revoked) this.#counts.revoked += sign;
    else if (bits & keyBits.live) this.#counts.live += sign;
    else this.#counts.test += sign;
  }

  #keepsSame(reference: number, payload: Uint8Array, flags: number): boolean {
    const offset = reference * unitBytes;
    const start = this.payloadStart(offset);
    const end = this.payloadEnd(offset);
    const present = this.bytes[offset + 1]!;
    if (end - start !== payload.length || (present & recordFlags.transient) !== flags) return false;
    if (this.bytes.compare(payload, 0, payload.length, start, end) !== 0) return false;
    this.bytes[offset + 1] = (present & ~recordFlags.mark) | this.#mark;
    return true;
  }

  #tagAt(offset: number): number {
    const from = offset + recordHeaderBytes;
    return hashIdBytes(this.seed, this.bytes[offset]!, this.bytes, from, from + this.bytes[offset + 4]!);
  }

  *#pageRecords(page: number): Generator<number, void> {
    const end = (page + 1) * pageBytes;
    for (let offset = page * pageBytes; offset < end; offset += this.recordBytes(offset)) {
      if (offset === this.#head || this.bytes[offset] === 0) return;
      if ((this.bytes[offset + 1]! & recordFlags.dead) === 0) yield offset;
    }
  }
}

const firstBytes = 16 * pageBytes;

/** A buffer that can grow to `maxBytes`, or as near to that as the system gives address space. */
function reserve(maxBytes: number): SharedArrayBuffer {
  for (let maxByteLength = maxBytes; ; maxByteLength = Math.max(firstBytes, maxByteLength / 2)) {
    try {
      return new SharedArrayBuffer(firstBytes, { maxByteLength: Math.floor(maxByteLength) });
    } catch (error) {
      if (maxByteLength <= firstBytes) throw error;
    }
  }
}

/** Above it, more would be copied than is won. */
const maxCompactedShare = 0.75;
function pageOf(offset: number): number {
  return Math.floor(offset / pageBytes);
}
