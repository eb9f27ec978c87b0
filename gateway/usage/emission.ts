import { join } from 'node:path';
import { createHttpTransport, type HttpTransportOptions } from './http-transport.ts';
import type { KafkaTransportOptions } from './kafka-transport.ts';
import type { RedisTransportOptions } from './redis-transport.ts';
import { Shipper } from './shipper.ts';
import { Spool, type SpoolOptions, type SpoolStats } from './spool.ts';
import type { UsageTransport } from './transport.ts';

export type TransportOptions =
  | ({ readonly kind: 'http' } & HttpTransportOptions)
  | ({ readonly kind: 'redis' } & RedisTransportOptions)
  | ({ readonly kind: 'kafka' } & KafkaTransportOptions);

export interface EmissionOptions {
  readonly spool: SpoolOptions;
  /** Null keeps batches in the spool: a gateway that stands alone. */
  readonly transport: TransportOptions | UsageTransport | null;
  readonly minBackoffMs?: number;
  readonly maxBackoffMs?: number;
  /** Told of each failed delivery; the batches stay in the spool. */
  readonly onFailure?: (error: Error) => void;
}

export interface EmissionStats extends SpoolStats {
  readonly sendFailures: number;
  /** Batches that the receiver will never take, kept under `refused/` in the spool's directory. */
  readonly refusedBatches: number;
}

/** What becomes of the batches of all workers: the spool and its transport. One in each gateway process. */
export interface UsageEmission {
  /** Takes over a batch of a worker's recorder. */
  accept(batch: Uint8Array, events: number): void;
  readonly stats: EmissionStats;
  /**
   * Ends: what has been accepted is on disk when this resolves, and delivered if that takes no longer than
   * `deadlineMs`; the rest is delivered after the next start. True when all was delivered.
   */
  close(deadlineMs: number): Promise<boolean>;
}

/** Opens the spool (rejects when its directory is another process's or cannot be written) and starts delivering. */
export async function createUsageEmission(options: EmissionOptions): Promise<UsageEmission> {
  const spool = await Spool.open(options.spool);
  const shipper = options.transport
    ? new Shipper({
        spool,
        transport: 'send' in options.transport ? options.transport : await createTransport(options.transport),
        refusedDirectory: join(options.spool.directory, 'refused'),
        ...(options.minBackoffMs === undefined ? {} : { minBackoffMs: options.minBackoffMs }),
        ...(options.maxBackoffMs === undefined ? {} : { maxBackoffMs: options.maxBackoffMs }),
        ...(options.onFailure ? { onFailure: options.onFailure } : {}),
      })
    : null;
  return {
    accept: (batch, events) => void spool.append(batch, events),
    get stats() {
      return {
        ...spool.stats,
        sendFailures: shipper?.sendFailures ?? 0,
        refusedBatches: shipper?.refusedBatches ?? 0,
      };
    },
    async close(deadlineMs) {
      const delivered = shipper ? await shipper.drain(deadlineMs) : false;
      await shipper?.stop();
      await spool.close();
      return delivered;
    },
  };
}

/** The clients of Redis and Kafka are loaded only when they are used: they take long to load. */
export async function createTransport(options: TransportOptions): Promise<UsageTransport> {
  switch (options.kind) {
    case 'http':
      return createHttpTransport(options);
    case 'redis':
      return (await import('./redis-transport.ts')).createRedisTransport(options);
    case 'kafka':
      return (await import('./kafka-transport.ts')).createKafkaTransport(options);
  }
}
