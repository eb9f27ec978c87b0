import {
  deletedSlot,
  emptySlot,
  hashId,
  headerWords,
  maxIdLength,
  recordHeaderBytes,
  recordKinds,
  regionBase,
  regionLog2,
  slotOf,
  unitBytes,
} from './key-table-layout.ts';

/**
 * Looks records up in the shared table. Any thread; no look-up waits, and each sees what the main thread had stored
 * when it began. A reference stays readable until this thread's next turn of its event loop at least.
 */
export class KeyTableReader {
  readonly buffer: SharedArrayBuffer;
  words: Int32Array<SharedArrayBuffer>;
  bytes: Buffer<SharedArrayBuffer>;
  protected readonly seed: number;
  /** The word index of the slot that the last successful look-up ended at. */
  foundWord = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer, 0, buffer.byteLength / 4);
    this.bytes = Buffer.from(buffer, 0, buffer.byteLength);
    this.seed = this.words[headerWords.seed]!;
  }

  /** Takes in what the buffer has grown by. Views of fixed length are what engines make fast. */
  protected refresh(): void {
    this.words = new Int32Array(this.buffer, 0, this.buffer.byteLength / 4);
    this.bytes = Buffer.from(this.buffer, 0, this.buffer.byteLength);
  }

  /** Changes whenever a record kept decoded may be out of date although its slot is unchanged. */
  get version(): number {
    return Atomics.load(this.words, headerWords.version);
  }

  /** The reference that a slot holds now. */
  slotReference(word: number): number {
    return Atomics.load(this.words, word);
  }

  /** The reference of a record, or 0. */
  find(kind: number, id: string): number {
    if (id.length === 0 || id.length > maxIdLength) return 0;
    return this.findTagged(hashId(this.seed, kind, id), kind, id);
  }

  protected findTagged(tag: number, kind: number, id: string): number {
    const region = Atomics.load(this.words, headerWords.idIndex);
    const log2 = regionLog2(region);
    const base = regionBase(region);
    const mask = (1 << log2) - 1;
    if (base + 2 * mask + 1 >= this.words.length) this.refresh();
    for (let slot = slotOf(tag, log2); ; slot = (slot + 1) & mask) {
      const word = base + 2 * slot + 1;
      const reference = Atomics.load(this.words, word);
      if (reference === emptySlot) return 0;
      if (reference === deletedSlot || this.words[word - 1] !== tag) continue;
      if (!this.#hasId(reference, kind, id)) continue;
      this.foundWord = word;
      return reference;
    }
  }

  /**
   * The reference of a key that has a secret of this SHA-256 (32 bytes), or 0. When several have, one that is not
   * revoked is preferred.
   */
  findByDigest(digest: Uint8Array): number {
    const tag = digestTag(digest, 0);
    const region = Atomics.load(this.words, headerWords.digestIndex);
    const log2 = regionLog2(region);
    const base = regionBase(region);
    const mask = (1 << log2) - 1;
    if (base + 2 * mask + 1 >= this.words.length) this.refresh();
    let revoked = 0;
    for (let slot = slotOf(tag, log2); ; slot = (slot + 1) & mask) {
      const word = base + 2 * slot + 1;
      const reference = Atomics.load(this.words, word);
      if (reference === emptySlot) return revoked;
      if (reference === deletedSlot || this.words[word - 1] !== tag) continue;
      if (!this.#hasDigest(reference, digest)) continue;
      if (revoked === 0 || !this.#isRevoked(reference)) this.foundWord = word;
      if (!this.#isRevoked(reference)) return reference;
      if (revoked === 0) revoked = reference;
    }
  }

  /** Byte offset of a record. */
  offsetOf(reference: number): number {
    const offset = (reference >>> 0) * unitBytes;
    if (offset >= this.bytes.length) this.refresh();
    return offset;
  }

  idOf(offset: number): string {
    const from = offset + recordHeaderBytes;
    return this.bytes.toString('latin1', from, from + this.bytes[offset + 4]!);
  }

  payloadStart(offset: number): number {
    return offset + recordHeaderBytes + this.bytes[offset + 4]!;
  }

  payloadEnd(offset: number): number {
    return offset + this.recordBytes(offset) - this.bytes[offset + 5]!;
  }

  /** The room that a record takes, padding included. */
  recordBytes(offset: number): number {
    return (this.bytes[offset + 2]! | (this.bytes[offset + 3]! << 8)) * unitBytes;
  }

  #hasId(reference: number, kind: number, id: string): boolean {
    const offset = this.offsetOf(reference);
    const { bytes } = this;
    if (bytes[offset] !== kind || bytes[offset + 4] !== id.length) return false;
    const from = offset + recordHeaderBytes;
    for (let i = 0; i < id.length; i++) if (bytes[from + i] !== id.charCodeAt(i)) return false;
    return true;
  }

  #hasDigest(reference: number, digest: Uint8Array): boolean {
    const offset = this.offsetOf(reference);
    const { bytes } = this;
    if (bytes[offset] !== recordKinds.key) return false;
    const start = this.payloadStart(offset) + keyDigestsOffset;
    const count = bytes[start]!;
    for (let n = 0, at = start + 1; n < count; n++, at += 32) {
      let i = 0;
      while (i < 32 && bytes[at + i] === digest[i]) i++;
      if (i === 32) return true;
    }
    return false;
  }

  #isRevoked(reference: number): boolean {
    const offset = this.offsetOf(reference);
    return (this.bytes[this.payloadStart(offset)]! & keyBits.revoked) !== 0;
  }
}

/** Where the count of digests stands in a key's payload, after the two bytes of bits. */
export const keyDigestsOffset = 2;

/** The first two bytes of a key's payload. */
export const keyBits = {
  bearer: 1,
  live: 2,
  revoked: 4,
  app: 8,
  account: 16,
  publicKey: 32,
  expiresAt: 64,
  scopes: 128,
  addresses: 256,
  version: 512,
  plan: 1024,
  quota: 2048,
  /** The expiry is in eight bytes, for it does not fit into six. */
  wideExpiry: 4096,
} as const;

export function digestTag(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
