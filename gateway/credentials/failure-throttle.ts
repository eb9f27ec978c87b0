import { hash, randomBytes } from 'node:crypto';

const windowMs = 60_000;
const ways = 4;
const saltBytes = 16;

/** Shared memory for counts of `addresses` addresses, a power of two; 8 bytes each. */
export function allocateFailures(addresses = 1 << 16): SharedArrayBuffer {
  if (!Number.isInteger(Math.log2(addresses)) || addresses < ways) {
    throw new RangeError('the number of addresses is to be a power of two');
  }
  const memory = new SharedArrayBuffer(saltBytes + addresses * 8);
  new Uint8Array(memory, 0, saltBytes).set(randomBytes(saltBytes));
  return memory;
}

/**
 * Counts failed attempts to authenticate by address and minute, for all workers together, in bounded memory: an
 * address shares a set of four counters with a few others, and takes over the one with the fewest failures.
 */
export class FailureThrottle {
  readonly #words: Uint32Array;
  readonly #salt: string;
  readonly #sets: number;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Uint32Array(memory, saltBytes);
    this.#salt = Buffer.from(memory, 0, saltBytes).toString('hex');
    this.#sets = this.#words.length / (2 * ways);
  }

  /** Failures of this address in the current minute. */
  count(address: string, nowMs: number): number {
    const { base, tag } = this.#locate(address);
    const minute = minuteOf(nowMs);
    for (let at = base; at < base + 2 * ways; at += 2) {
      if (Atomics.load(this.#words, at) !== tag) continue;
      const word = Atomics.load(this.#words, at + 1);
      return word >>> 20 === minute ? word & 0xfffff : 0;
    }
    return 0;
  }

  add(address: string, nowMs: number): void {
    const { base, tag } = this.#locate(address);
    const minute = minuteOf(nowMs);
    let victim = base;
    let fewest = Number.POSITIVE_INFINITY;
    for (let at = base; at < base + 2 * ways; at += 2) {
      const word = Atomics.load(this.#words, at + 1);
      const failures = word >>> 20 === minute ? word & 0xfffff : 0;
      if (Atomics.load(this.#words, at) === tag) {
        if (failures === 0) Atomics.store(this.#words, at + 1, (minute << 20) | 1);
        else if (failures < 0xfffff) Atomics.add(this.#words, at + 1, 1);
        return;
      }
      if (failures < fewest) {
        fewest = failures;
        victim = at;
      }
    }
    Atomics.store(this.#words, victim, tag);
    Atomics.store(this.#words, victim + 1, (minute << 20) | 1);
  }

  #locate(address: string): { base: number; tag: number } {
    const digest = hash('sha256', `${this.#salt} ${address}`, 'latin1');
    let set = 0;
    let tag = 0;
    for (let i = 0; i < 4; i++) {
      set = (set << 8) | digest.charCodeAt(i);
      tag = (tag << 8) | digest.charCodeAt(i + 4);
    }
    return { base: ((set >>> 0) % this.#sets) * 2 * ways, tag: tag >>> 0 || 1 };
  }
}

/** Seconds until the counts begin anew. */
export function secondsUntilNextWindow(nowMs: number): number {
  return Math.max(1, Math.ceil((windowMs - (nowMs % windowMs)) / 1000));
}

function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / windowMs) & 0xfff;
}
