import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Spool, SpoolChunk } from './spool.ts';
import { BatchesRefused, type UsageTransport } from './transport.ts';

export interface ShipperOptions {
  readonly spool: Spool;
  readonly transport: UsageTransport;
  /** Where batches go that the receiver will never take. */
  readonly refusedDirectory: string;
  /** About how much is sent at once. Default: 1 MiB. */
  readonly chunkBytes?: number;
  readonly minBackoffMs?: number;
  readonly maxBackoffMs?: number;
  readonly onFailure?: (error: Error) => void;
}

/** Moves batches from the spool to the transport, oldest first, again and again until they are taken. */
export class Shipper {
  sendFailures = 0;
  refusedBatches = 0;
  readonly #options: ShipperOptions;
  readonly #stopping = new AbortController();
  readonly #minBackoffMs: number;
  readonly #maxBackoffMs: number;
  readonly #done: Promise<void>;
  #onIdle: (() => void) | null = null;

  constructor(options: ShipperOptions) {
    this.#options = options;
    this.#minBackoffMs = options.minBackoffMs ?? 100;
    this.#maxBackoffMs = options.maxBackoffMs ?? 10_000;
    this.#done = this.#run();
  }

  /** Resolves when everything in the spool has been taken, or after `deadlineMs`: true if nothing is left. */
  async drain(deadlineMs: number): Promise<boolean> {
    const { spool } = this.#options;
    await spool.flush();
    if (spool.stats.pendingEvents === 0) return true;
    const timer = new AbortController();
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        spool.wake();
      }),
      delay(deadlineMs, undefined, { signal: timer.signal, ref: true }).catch(() => {}),
    ]);
    timer.abort();
    return spool.stats.pendingEvents === 0;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#options.spool.wake();
    await this.#done;
    await this.#options.transport.close();
  }

  async #run(): Promise<void> {
    const { spool } = this.#options;
    const signal = this.#stopping.signal;
    while (!signal.aborted) {
      const woken = spool.waitForData();
      const chunk = await spool.read(this.#options.chunkBytes ?? 1 << 20).catch((error: Error) => {
        this.#fail(error);
        return undefined;
      });
      if (chunk) await this.#ship(chunk);
      else if (chunk === undefined) await this.#pause(1);
      else {
        this.#onIdle?.();
        this.#onIdle = null;
        await woken;
      }
    }
  }

  async #ship(chunk: SpoolChunk): Promise<void> {
    const signal = this.#stopping.signal;
    let single = false;
    let next = 0;
    for (let attempt = 1; !signal.aborted; ) {
      try {
        if (!single) await this.#options.transport.send(chunk.batches, signal);
        while (single && next < chunk.batches.length) {
          await this.#options.transport.send([chunk.batches[next]!], signal);
          next++;
        }
        this.#options.spool.acknowledge(chunk);
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#fail(error as Error);
        if (!(error instanceof BatchesRefused)) await this.#pause(attempt++);
        else if (single || chunk.batches.length === 1) {
          await this.#setAside(chunk.batches[next]!);
          single = true;
          next++;
        } else single = true;
      }
    }
  }

  /** A batch that can never be delivered must not keep the others waiting; it stays on disk for an operator. */
  async #setAside(batch: Buffer): Promise<void> {
    this.refusedBatches++;
    try {
      await mkdir(this.#options.refusedDirectory, { recursive: true, mode: 0o700 });
      const name = `${Date.now()}-${this.refusedBatches}.batch`;
      await writeFile(join(this.#options.refusedDirectory, name), batch, { mode: 0o600 });
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  async #pause(attempt: number): Promise<void> {
    const ceiling = Math.min(this.#maxBackoffMs, this.#minBackoffMs * 2 ** Math.min(attempt, 16));
    const backoffMs = ceiling * (0.5 + Math.random() / 2);
    await delay(backoffMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
  }

  #fail(error: Error): void {
    this.sendFailures++;
    this.#options.onFailure?.(error);
  }
}
