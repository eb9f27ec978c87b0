/** Slots of the lock table; keys that share one only wait for each other. */
const slots = 65_536;

export function allocateFlightLocks(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(slots * Int32Array.BYTES_PER_ELEMENT));
}

/** A lock that is held: release it once. */
export type Release = () => void;

/**
 * Locks that the workers of one host share, so that of several workers that miss one resource only one asks the
 * upstream. A lock runs out by itself, in case its worker dies.
 */
export class FlightLocks {
  readonly #table: Int32Array<SharedArrayBuffer>;
  readonly #lifetimeSeconds: number;

  constructor(table: Int32Array<SharedArrayBuffer>, lifetimeSeconds = 60) {
    this.#table = table;
    this.#lifetimeSeconds = lifetimeSeconds;
  }

  /** Takes the lock of a key; null when another holds it. */
  acquire(key: string): Release | null {
    const slot = slotOf(key);
    const now = seconds();
    const held = Atomics.load(this.#table, slot);
    if (held !== 0 && held > now) return null;
    // The time until which it is held stands for the holder.
    const until = now + this.#lifetimeSeconds;
    if (Atomics.compareExchange(this.#table, slot, held, until) !== held) return null;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      if (Atomics.compareExchange(this.#table, slot, until, 0) === until) Atomics.notify(this.#table, slot);
    };
  }

  /** Resolves when the lock of a key is released or has run out, or after `timeoutMs`. */
  async wait(key: string, timeoutMs: number): Promise<void> {
    const slot = slotOf(key);
    const held = Atomics.load(this.#table, slot);
    if (held === 0) return;
    const leftMs = Math.max(0, (held - seconds()) * 1000);
    const waiting = Atomics.waitAsync(this.#table, slot, held, Math.min(timeoutMs, leftMs));
    if (waiting.async) await waiting.value;
  }
}

/** Whole seconds, small enough for an Int32. */
function seconds(): number {
  return Math.floor(Date.now() / 1000) - 1_700_000_000;
}

function slotOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % slots;
}
