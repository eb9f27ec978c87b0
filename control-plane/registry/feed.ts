import type { FastifyBaseLogger } from 'fastify';
import type { Database } from '../database/database.ts';
import { type DeltaText, readDelta, readHead } from './read.ts';

/** One that follows the registry. */
export interface Follower {
  /** The revision up to which it has been told. */
  revision: number;
  /** A delta that follows on `revision`; the follower advances itself. */
  push(delta: DeltaText): void;
  /** It has fallen behind what can be pushed and must read for itself. */
  resync(): void;
}

/**
 * Reads each change once, when the database announces it, and pushes it to all who follow. The database is asked
 * again every few seconds, so that an announcement that was lost only delays.
 */
export class RegistryFeed {
  readonly #db: Database;
  readonly #log: FastifyBaseLogger;
  readonly #followers = new Set<Follower>();
  #head = 0;
  #pumping: Promise<void> | null = null;
  #again = false;
  #stopListening: (() => Promise<void>) | null = null;
  #closed = false;

  constructor(db: Database, log: FastifyBaseLogger) {
    this.#db = db;
    this.#log = log;
  }

  get head(): number {
    return this.#head;
  }

  get followers(): number {
    return this.#followers.size;
  }

  async start(): Promise<void> {
    this.#stopListening = await this.#db.listen('registry', () => this.poke());
    this.#head = (await readHead(this.#db)).revision;
  }

  /** Looks for changes now. */
  poke(): void {
    if (this.#closed) return;
    if (this.#pumping) {
      this.#again = true;
      return;
    }
    this.#pumping = this.#pump()
      .catch((error: unknown) => this.#log.error({ err: error }, 'cannot read the registry'))
      .finally(() => {
        this.#pumping = null;
        if (!this.#again) return;
        this.#again = false;
        this.poke();
      });
  }

  /** Resolves when the feed has looked at the database at least once more. */
  async settle(): Promise<void> {
    this.poke();
    while (this.#pumping) await this.#pumping;
  }

  /** Joins when the follower stands at the head; tells whether it did. */
  join(follower: Follower): boolean {
    if (follower.revision !== this.#head) return false;
    this.#followers.add(follower);
    return true;
  }

  leave(follower: Follower): void {
    this.#followers.delete(follower);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#stopListening?.();
    await this.#pumping;
  }

  async #pump(): Promise<void> {
    for (;;) {
      const delta = await readDelta(this.#db, this.#head);
      if (delta === null) return;
      if (delta === 'snapshot') {
        this.#head = (await readHead(this.#db)).revision;
        for (const follower of [...this.#followers]) {
          this.#followers.delete(follower);
          follower.resync();
        }
        continue;
      }
      this.#head = delta.revision;
      for (const follower of this.#followers) follower.push(delta);
    }
  }
}
