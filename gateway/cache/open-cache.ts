import { randomUUID } from 'node:crypto';
import { BroadcastChannel } from 'node:worker_threads';
import type { Purge } from '#contract/purge.ts';
import type { Channel } from '../channel.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { allocateFlightLocks, FlightLocks } from './flight-locks.ts';
import { allocatorFor, type CacheNews, ResponseCache } from './response-cache.ts';
import type { SecondLevel } from './second-level.ts';

/** What the workers of one gateway process are given to share their caches. */
export interface CacheShare {
  /** The name of the channel on which they tell each other. */
  readonly news: string;
  readonly locks: Int32Array<SharedArrayBuffer>;
}

export function createCacheShare(): CacheShare {
  return { news: `tollgate-cache-${randomUUID()}`, locks: allocateFlightLocks() };
}

export interface OpenCacheOptions {
  readonly maxBytes: number;
  /** How many workers share; one alone shares with nobody. */
  readonly workers: number;
  readonly share: CacheShare;
  /** To the main thread, where purges come from. */
  readonly channel: Channel;
  readonly metrics: Metrics;
  readonly secondLevel: SecondLevel | null;
}

/** Opens the second level, where there is one. */
export async function openSecondLevel(
  redisUrl: string | null,
  workers: number,
  log: (level: 'info' | 'warn', message: string, details: object) => void,
): Promise<SecondLevel | null> {
  if (redisUrl === null) return null;
  // Loaded only where it is used: the client takes memory and time to start.
  const { RedisSecondLevel } = await import('./redis-second-level.ts');
  return new RedisSecondLevel({
    url: redisUrl,
    allocate: allocatorFor(workers > 1),
    now: Date.now,
    onChange: (away, detail) => {
      if (away) log('warn', 'the second level of the cache is away', { detail });
      else log('info', 'the second level of the cache is there', {});
    },
  });
}

/** The cache of one worker, in touch with those of the others: each stores what any stores, bodies in shared memory. */
export function openCache(options: OpenCacheOptions): ResponseCache {
  const { share, channel, workers } = options;
  const news = workers > 1 ? new BroadcastChannel(share.news) : null;
  const cache = new ResponseCache({
    maxBytes: options.maxBytes,
    now: Date.now,
    metrics: options.metrics,
    holders: workers,
    tell: news === null ? null : (message) => news.postMessage(message),
    locks: news === null ? null : new FlightLocks(share.locks),
    secondLevel: options.secondLevel,
  });
  if (news !== null) {
    news.onmessage = (event) => cache.hear((event as { data: CacheNews }).data);
    news.unref();
  }
  // Every worker is told by the main thread, so none passes it on.
  channel.on<{ id: number; purge: Purge }>('cache-purge', ({ id, purge }) =>
    channel.send('cache-purged', { id, removed: cache.purge(purge, false) }),
  );
  return cache;
}

/** Passes purges to all workers of a process. */
export class PurgeDesk {
  /** What each worker's channel still owes an answer to. */
  readonly #channels = new Map<Channel, Map<number, (removed: number) => void>>();
  readonly #timeoutMs: number;
  #number = 0;
  #lastId = 0;

  constructor(timeoutMs = 5000) {
    this.#timeoutMs = timeoutMs;
  }

  attach(channel: Channel): void {
    const waiting = new Map<number, (removed: number) => void>();
    this.#channels.set(channel, waiting);
    channel.on<{ id: number; removed: number }>('cache-purged', ({ id, removed }) =>
      waiting.get(id)?.(removed),
    );
  }

  /** A worker that is gone has nothing stored. */
  detach(channel: Channel): void {
    const waiting = this.#channels.get(channel);
    this.#channels.delete(channel);
    for (const settle of waiting?.values() ?? []) settle(0);
  }

  /**
   * Resolves when every worker has done it, with the number of stored responses that were meant: all workers hold the
   * same ones, so the largest of their numbers.
   */
  async apply(purge: Purge): Promise<number> {
    const id = ++this.#number;
    const removed = await Promise.all(
      [...this.#channels].map(([channel, waiting]) => this.#ask(channel, waiting, { id, purge })),
    );
    return Math.max(0, ...removed);
  }

  /** One of the control plane's, which come in the order of their ids; known ones are passed over. */
  async applyOnce(id: number, purge: Purge): Promise<void> {
    if (id <= this.#lastId) return;
    this.#lastId = id;
    await this.apply(purge);
  }

  #ask(
    channel: Channel,
    waiting: Map<number, (removed: number) => void>,
    order: { readonly id: number; readonly purge: Purge },
  ): Promise<number> {
    return new Promise((resolve) => {
      const settle = (removed: number): void => {
        clearTimeout(timer);
        waiting.delete(order.id);
        resolve(removed);
      };
      const timer = setTimeout(() => settle(0), this.#timeoutMs);
      waiting.set(order.id, settle);
      channel.send('cache-purge', order);
    });
  }
}
