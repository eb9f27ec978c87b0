import { setImmediate } from 'node:timers/promises';
import type { KeyTable } from '../credentials/key-table.ts';
import { pageBytes } from '../credentials/key-table-layout.ts';

const pagesAtOnce = 4;
const minDeadBytes = 4 * pageBytes;

/**
 * Wins back space of the shared table: moves records out of pages that hold many dead ones, and lets freed pages be used
 * again once all workers have been between look-ups.
 */
export class Housekeeping {
  readonly #table: KeyTable;
  readonly #quiesce: () => Promise<void>;
  #nextAt = minDeadBytes;
  #running: Promise<void> | null = null;
  #paused = 0;

  constructor(table: KeyTable, quiesce: () => Promise<void>) {
    this.#table = table;
    this.#quiesce = quiesce;
  }

  /** To be called after changes; returns at once. */
  check(): void {
    if (this.#running !== null) return;
    const { deadBytes } = this.#table.usage;
    if ((deadBytes < this.#nextAt || this.#paused > 0) && !this.#table.hasGarbage) return;
    this.#running = this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Runs `work` with no record moving meanwhile. */
  async paused<T>(work: () => Promise<T>): Promise<T> {
    this.#paused++;
    try {
      return await work();
    } finally {
      this.#paused--;
    }
  }

  async #run(): Promise<void> {
    if (this.#table.usage.deadBytes >= this.#nextAt) {
      while (this.#paused === 0 && this.#table.compact(pagesAtOnce)) await setImmediate();
      // What is left lies in pages that are mostly alive; it takes more of it to be worth another look.
      const { deadBytes, liveBytes } = this.#table.usage;
      this.#nextAt = deadBytes + Math.max(minDeadBytes, liveBytes / 8);
    }
    const garbage = this.#table.takeGarbage();
    if (garbage.length === 0) return;
    await this.#quiesce();
    this.#table.release(garbage);
  }
}
