import { LRUCache } from 'lru-cache';
import type { App, Context } from '../context.ts';
import { ProblemError } from './problem.ts';

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** Token buckets by name, the least recently used forgotten first: a name that is forgotten starts full. */
export class Buckets {
  readonly #buckets = new LRUCache<string, Bucket>({ max: 50_000 });
  readonly #burst: number;
  readonly #perMs: number;

  constructor(limit: { readonly burst: number; readonly perMinute: number }) {
    this.#burst = limit.burst;
    this.#perMs = limit.perMinute / 60_000;
  }

  /** Takes a token; 0 when there was one, else the milliseconds until there is. */
  take(name: string, nowMs: number): number {
    const bucket = this.#fill(name, nowMs);
    if (bucket.tokens < 1) return Math.ceil((1 - bucket.tokens) / this.#perMs);
    bucket.tokens -= 1;
    return 0;
  }

  /** As `take`, without taking. */
  peek(name: string, nowMs: number): number {
    const bucket = this.#fill(name, nowMs);
    return bucket.tokens < 1 ? Math.ceil((1 - bucket.tokens) / this.#perMs) : 0;
  }

  #fill(name: string, nowMs: number): Bucket {
    let bucket = this.#buckets.get(name);
    if (!bucket) {
      bucket = { tokens: this.#burst, filledAt: nowMs };
      this.#buckets.set(name, bucket);
    }
    bucket.tokens = Math.min(this.#burst, bucket.tokens + Math.max(0, nowMs - bucket.filledAt) * this.#perMs);
    bucket.filledAt = nowMs;
    return bucket;
  }
}

/**
 * Limits requests of each caller, and failed authentications of each address, which are refused before the next
 * attempt is looked at. Each instance counts for itself. Gateways and health checks are not limited.
 */
export function addThrottle(app: App, { config, now }: Context): void {
  const { requests, failures } = config.throttle;
  const perCaller = new Buckets(requests);
  const perAddress = new Buckets(failures);
  const refuse = (waitMs: number): ProblemError =>
    new ProblemError('rate_limited', undefined, undefined, {
      'retry-after': String(Math.ceil(waitMs / 1000)),
    });

  app.addHook('onRequest', async (request) => {
    const waitMs = request.headers.authorization ? perAddress.peek(request.ip, now().getTime()) : 0;
    if (waitMs > 0) throw refuse(waitMs);
  });
  app.addHook('preValidation', async (request) => {
    const caller = request.caller;
    if (caller === null || caller.kind === 'gateway') return;
    const waitMs = perCaller.take(`${caller.kind}:${caller.actor}`, now().getTime());
    if (waitMs > 0) throw refuse(waitMs);
  });
  app.addHook('onResponse', async (request, reply) => {
    if (reply.statusCode === 401) perAddress.take(request.ip, now().getTime());
  });
}
