import { Redis } from 'ioredis';
import type { UsageTransport } from './transport.ts';

export interface RedisTransportOptions {
  readonly url: string;
  /** Key of the stream. Default: `tollgate:usage`. */
  readonly stream?: string;
  readonly timeoutMs?: number;
  /** Replicas that must have an entry before it counts as delivered (WAIT). Default: 0. */
  readonly replicas?: number;
}

export const defaultUsageStream = 'tollgate:usage';

/**
 * Appends batches to a Redis stream, one entry (`batch`) each. What Redis has acknowledged is as durable as its
 * configuration makes it: `appendfsync always` for none lost when it crashes.
 */
export function createRedisTransport(options: RedisTransportOptions): UsageTransport {
  const stream = options.stream ?? defaultUsageStream;
  const timeoutMs = options.timeoutMs ?? 10_000;
  const redis = new Redis(options.url, {
    lazyConnect: true,
    enableOfflineQueue: true,
    maxRetriesPerRequest: 0,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1000),
  });
  redis.on('error', () => {});
  return {
    name: 'redis',
    async send(batches, signal) {
      signal.throwIfAborted();
      const pipeline = redis.pipeline();
      for (const batch of batches) pipeline.xadd(stream, '*', 'batch', batch);
      const results = await pipeline.exec();
      if (!results) throw new Error('the pipeline was discarded');
      for (const [error] of results) if (error) throw error;
      const replicas = options.replicas ?? 0;
      if (replicas > 0 && (await redis.wait(replicas, timeoutMs)) < replicas) {
        throw new Error(`fewer than ${replicas} replicas have the entries`);
      }
    },
    async close() {
      redis.disconnect();
    },
  };
}
