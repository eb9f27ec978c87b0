import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { BatchFormatError, decodeBatch, type UsageBatch } from '#contract/usage-batch.ts';
import { type Database, sqlState } from '../database/database.ts';
import { addEvents, coarsen, dayMs, type Groups } from './aggregate.ts';
import type { Partitions } from './partitions.ts';
import { addToRollups, claimBatches, grainMs, grains, insertEvents } from './store.ts';

export interface IngestOptions {
  readonly db: Database;
  readonly partitions: Partitions;
  readonly now: () => number;
  /** Batches made longer ago than this are not counted but set aside: that they were counted may be forgotten. */
  readonly maxBatchAgeDays: number;
  /** Events written in one transaction, about. Default: 20,000. */
  readonly maxEvents?: number;
  /** Told of batches after they have been committed. */
  readonly onIngested?: (batches: readonly UsageBatch[]) => void;
}

/** What became of the batches of a call. */
export interface IngestResult {
  accepted: number;
  /** Had been counted before. */
  duplicates: number;
  /** Set aside because they can never be ingested. */
  deadLettered: number;
}

interface Job {
  readonly origin: string;
  readonly batches: readonly Uint8Array[];
  readonly resolve: (result: IngestResult) => void;
  readonly reject: (error: unknown) => void;
  readonly result: IngestResult;
}

interface Arrived {
  readonly bytes: Uint8Array;
  readonly batch: UsageBatch;
  readonly job: Job;
}

export interface IngestStats {
  readonly events: number;
  readonly batches: number;
  readonly duplicates: number;
  readonly deadLettered: number;
  readonly failures: number;
  /** Seconds between the occurrence of the last ingested batch and its commit. */
  readonly lagSeconds: number;
}

/**
 * Writes batches into the database: events, rollups and the note that they are counted, in one transaction. What
 * arrives while a transaction is under way is written together in the next.
 */
export class Ingestor {
  readonly #options: IngestOptions;
  readonly #queue: Job[] = [];
  #running: Promise<void> | null = null;
  #stats = { events: 0, batches: 0, duplicates: 0, deadLettered: 0, failures: 0, lagSeconds: 0 };

  constructor(options: IngestOptions) {
    this.#options = options;
  }

  get stats(): IngestStats {
    return this.#stats;
  }

  /**
   * Resolves when every batch is counted, had been before or is set aside in `usage_dead_letters`: they need not be
   * sent again. Rejects when the database fails; then none or all are counted, and they are to be sent again.
   */
  ingest(batches: readonly Uint8Array[], origin: string): Promise<IngestResult> {
    return new Promise((resolve, reject) => {
      const result = { accepted: 0, duplicates: 0, deadLettered: 0 };
      this.#queue.push({ batches, origin, resolve, reject, result });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    // What arrives in the same turn is taken together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const jobs: Job[] = [];
      let bytes = 0;
      // About 130 bytes make an event.
      const maxBytes = (this.#options.maxEvents ?? 20_000) * 130;
      while (this.#queue.length > 0 && (jobs.length === 0 || bytes < maxBytes)) {
        const job = this.#queue.shift()!;
        for (const batch of job.batches) bytes += batch.length;
        jobs.push(job);
      }
      await this.#take(jobs);
    }
    this.#running = null;
  }

  async #take(jobs: readonly Job[]): Promise<void> {
    try {
      const arrived: Arrived[] = [];
      for (const job of jobs) {
        for (const bytes of job.batches) {
          const batch = await this.#open(bytes, job);
          if (batch) arrived.push({ bytes, batch, job });
        }
      }
      await this.#store(arrived);
      for (const job of jobs) job.resolve(job.result);
    } catch (error) {
      this.#stats.failures++;
      for (const job of jobs) job.reject(error);
    }
  }

  async #open(bytes: Uint8Array, job: Job): Promise<UsageBatch | null> {
    try {
      const batch = decodeBatch(bytes);
      const oldest = this.#options.now() - this.#options.maxBatchAgeDays * dayMs;
      if (batch.createdAt >= oldest) return batch;
      await this.#setAside(bytes, job, 'it is too old to tell whether it has been counted');
    } catch (error) {
      if (!(error instanceof BatchFormatError)) throw error;
      await this.#setAside(bytes, job, error.message);
    }
    return null;
  }

  /** Stores batches together; when one of them is at fault, halves, so that it alone is set aside. */
  async #store(arrived: readonly Arrived[]): Promise<void> {
    if (arrived.length === 0) return;
    try {
      const fresh = new Set(await this.#commit(arrived.map(({ batch }) => batch)));
      for (const { batch, job } of arrived) {
        if (fresh.has(batch)) job.result.accepted++;
        else {
          job.result.duplicates++;
          this.#stats.duplicates++;
        }
      }
      this.#count([...fresh]);
    } catch (error) {
      if (!isDataFault(error)) throw error;
      const [first] = arrived;
      if (arrived.length === 1) await this.#setAside(first!.bytes, first!.job, (error as Error).message);
      else {
        const middle = arrived.length >> 1;
        await this.#store(arrived.slice(0, middle));
        await this.#store(arrived.slice(middle));
      }
    }
  }

  async #commit(batches: readonly UsageBatch[]): Promise<UsageBatch[]> {
    await this.#options.partitions.prepare(timesOf(batches));
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#options.db.transaction(async (tx) => {
          const fresh = await claimBatches(tx, batches);
          if (fresh.length === 0) return fresh;
          const minutes: Groups = new Map();
          for (const batch of fresh) addEvents(minutes, batch.columns, batch.count);
          await insertEvents(tx, fresh);
          for (const grain of grains) {
            await addToRollups(tx, grain, grain === 'minute' ? minutes : coarsen(minutes, grainMs[grain]));
          }
          return fresh;
        });
      } catch (error) {
        // Deadlock or serialization failure: nothing was written, and another try may well succeed.
        if (attempt === 5 || !/^40/.test(sqlState(error) ?? '')) throw error;
        await delay(20 * attempt * Math.random());
      }
    }
  }

  #count(fresh: readonly UsageBatch[]): void {
    if (fresh.length === 0) return;
    const stats = this.#stats;
    let newest = 0;
    for (const batch of fresh) {
      stats.events += batch.count;
      newest = Math.max(newest, batch.createdAt);
    }
    stats.batches += fresh.length;
    stats.lagSeconds = Math.max(0, (this.#options.now() - newest) / 1000);
    this.#options.onIngested?.(fresh);
  }

  async #setAside(bytes: Uint8Array, job: Job, reason: string): Promise<void> {
    await this.#options.db.execute(
      `INSERT INTO usage_dead_letters (origin, reason, digest, body)
       VALUES ($1, $2, $3, decode($4, 'hex')) ON CONFLICT (digest) DO NOTHING`,
      [
        job.origin,
        reason.replaceAll('\0', '').slice(0, 1000),
        createHash('sha256').update(bytes).digest('hex'),
        Buffer.from(bytes).toString('hex'),
      ],
    );
    job.result.deadLettered++;
    this.#stats.deadLettered++;
  }
}

function* timesOf(batches: readonly UsageBatch[]): Generator<number> {
  for (const batch of batches) yield* batch.columns.occurredAt;
}

/** The values are at fault, not the database: data exceptions, constraints, malformed text, numbers out of range. */
function isDataFault(error: unknown): boolean {
  return /^(?:21|22|23)/.test(sqlState(error) ?? '') || error instanceof RangeError;
}
