import { hash, randomBytes } from 'node:crypto';

/**
 * `new`: not seen before, and remembered from now on. `seen`: a replay. `unavailable`: nothing more can be remembered,
 * so that a replay could not be told.
 */
export type NonceVerdict = 'new' | 'seen' | 'unavailable';

/** Remembers nonces of signatures until their signatures are too old to be valid. */
export interface NonceStore {
  remember(
    keyId: string,
    nonce: string,
    expiresAtMs: number,
    nowMs: number,
  ): NonceVerdict | Promise<NonceVerdict>;
}

const windowSlots = 32;
const expiryBits = 28n;
const expiryMask = (1n << expiryBits) - 1n;
const unitMs = 4000;
const epochMs = Date.UTC(2020, 0, 1);
const saltBytes = 16;

/** Shared memory for nonces of all workers of a host: 8 bytes each, `capacity` a power of two. */
export function allocateNonces(capacity = 1 << 21): SharedArrayBuffer {
  if (!Number.isInteger(Math.log2(capacity)) || capacity < windowSlots) {
    throw new RangeError('the capacity for nonces is to be a power of two');
  }
  const memory = new SharedArrayBuffer(saltBytes + capacity * 8);
  new Uint8Array(memory, 0, saltBytes).set(randomBytes(saltBytes));
  return memory;
}

/**
 * Nonces in shared memory, exact across the workers of one host. A slot is one word, 36 bits of a keyed digest and the
 * time of expiry. A nonce lives in the first free slot of a window that its digest chooses; two workers that put the
 * same nonce into different slots find each other's when they look again, so that at most one of them is told `new`.
 */
export class SharedNonces implements NonceStore {
  readonly #slots: BigUint64Array;
  readonly #salt: string;
  readonly #mask: number;

  constructor(memory: SharedArrayBuffer) {
    this.#slots = new BigUint64Array(memory, saltBytes);
    this.#salt = Buffer.from(memory, 0, saltBytes).toString('hex');
    this.#mask = this.#slots.length - 1;
  }

  remember(keyId: string, nonce: string, expiresAtMs: number, nowMs: number): NonceVerdict {
    const digest = hash('sha256', `${this.#salt} ${keyId} ${nonce}`, 'latin1');
    const start = wordAt(digest, 0) & this.#mask;
    // Never 0, which marks a slot that was never used.
    const tag = (BigInt(wordAt(digest, 4)) << 4n) | BigInt(digest.charCodeAt(8) & 0xf) | 1n;
    const now = BigInt(Math.floor((nowMs - epochMs) / unitMs));
    const expiry = BigInt(Math.ceil((expiresAtMs - epochMs) / unitMs)) & expiryMask;
    const word = (tag << expiryBits) | expiry;
    for (;;) {
      const free = this.#findFree(start, tag, now);
      if (free === null) return 'seen';
      if (free.slot < 0) return 'unavailable';
      if (Atomics.compareExchange(this.#slots, free.slot, free.word, word) !== free.word) continue;
      return this.#isElsewhere(start, tag, now, free.slot) ? 'seen' : 'new';
    }
  }

  /** The first slot of the window to be used, -1 when all are taken, null when the nonce is in one of them. */
  #findFree(start: number, tag: bigint, now: bigint): { slot: number; word: bigint } | null {
    let slot = -1;
    let word = 0n;
    for (let i = 0; i < windowSlots; i++) {
      const index = (start + i) & this.#mask;
      const found = Atomics.load(this.#slots, index);
      const unused = found === 0n;
      if (unused || (found & expiryMask) < now) {
        if (slot < 0) {
          slot = index;
          word = found;
        }
        if (unused) break;
      } else if (found >> expiryBits === tag) return null;
    }
    return { slot, word };
  }

  #isElsewhere(start: number, tag: bigint, now: bigint, own: number): boolean {
    for (let i = 0; i < windowSlots; i++) {
      const index = (start + i) & this.#mask;
      const found = Atomics.load(this.#slots, index);
      if (found === 0n) return false;
      if (index !== own && found >> expiryBits === tag && (found & expiryMask) >= now) return true;
    }
    return false;
  }
}

function wordAt(digest: string, at: number): number {
  return (
    ((digest.charCodeAt(at) << 24) |
      (digest.charCodeAt(at + 1) << 16) |
      (digest.charCodeAt(at + 2) << 8) |
      digest.charCodeAt(at + 3)) >>>
    0
  );
}
