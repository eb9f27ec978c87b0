import type { LedgerLink } from './redis-link.ts';
import type { ScriptName } from './scripts.ts';

/** One entry of a script call: it adds its keys and arguments when the call is made, and takes its part of the reply. */
export interface BatchEntry {
  writeTo(keys: string[], args: string[]): void;
  /** Reads its part of the reply from `at`; returns where the next one begins. */
  readFrom(reply: readonly number[], at: number): number;
  fail(error: unknown): void;
}

export interface BatcherOptions {
  readonly link: LedgerLink;
  readonly script: ScriptName;
  /** The arguments before the number of entries. */
  readonly leading: () => readonly string[];
  readonly maxEntries?: number;
}

/**
 * Coalesces the entries of one turn of the event loop into one script call for each cluster slot (one altogether
 * without a cluster). Any number of calls may be under way.
 */
export class CallBatcher {
  readonly #options: BatcherOptions;
  readonly #maxEntries: number;
  readonly #waiting = new Map<string, BatchEntry[]>();
  readonly #flush = (): void => this.flush();
  #scheduled = false;
  #drained: (() => void) | null = null;
  underWay = 0;

  /** Nothing waits to be sent or answered. */
  get idle(): boolean {
    return this.underWay === 0 && !this.#scheduled;
  }

  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#maxEntries = options.maxEntries ?? 64;
  }

  /** `tag` is the hash tag of all keys of the entry. */
  add(tag: string, entry: BatchEntry): void {
    const group = this.#options.link.isCluster ? tag : '';
    const entries = this.#waiting.get(group);
    if (entries === undefined) this.#waiting.set(group, [entry]);
    else entries.push(entry);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#flush);
  }

  flush(): void {
    this.#scheduled = false;
    for (const [group, entries] of this.#waiting) {
      for (let from = 0; from < entries.length; from += this.#maxEntries) {
        void this.#send(group, entries.slice(from, from + this.#maxEntries));
      }
    }
    this.#waiting.clear();
  }

  /** Sends what waits; resolves when all is answered, or after `maxMs`. */
  async drain(maxMs: number): Promise<void> {
    this.flush();
    if (this.underWay === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, maxMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #send(tag: string, entries: readonly BatchEntry[]): Promise<void> {
    const { link, script, leading } = this.#options;
    const keys: string[] = [];
    const args: string[] = [...leading(), String(entries.length)];
    for (const entry of entries) entry.writeTo(keys, args);
    this.underWay++;
    try {
      const reply = await link.run(script, tag, keys, args);
      let at = 0;
      for (const entry of entries) at = entry.readFrom(reply, at);
    } catch (error) {
      for (const entry of entries) entry.fail(error);
    } finally {
      this.underWay--;
      if (this.idle) this.#drained?.();
    }
  }
}
