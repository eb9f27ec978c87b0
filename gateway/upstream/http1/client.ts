import type { ConnectionOptions } from 'node:tls';
import { TimerWheel } from '../../wire/timers/timer-wheel.ts';
import type { Upstream, UpstreamCall, UpstreamClient, UpstreamHandler, UpstreamRequest } from '../client.ts';
import { type PoolLimits, TargetPool } from './pool.ts';

export interface Http1ClientOptions extends Partial<PoolLimits> {
  /** Shared by all wires of a worker. Default: one of its own. */
  readonly wheel?: TimerWheel;
  /** For TLS upstreams: authorities, client certificate and the like. */
  readonly tls?: ConnectionOptions;
}

/** Sends requests to HTTP/1.1 upstreams over connections of its own, a pool for each target. */
export class Http1Client implements UpstreamClient {
  readonly #pools = new Map<Upstream, TargetPool>();
  /** The latest TLS session of each target, for resumption. Never shared: another client may trust less. */
  readonly #sessions = new WeakMap<Upstream, Buffer>();
  readonly #wheel: TimerWheel;
  readonly #ownWheel: boolean;
  readonly #limits: PoolLimits;
  readonly #tls: ConnectionOptions;

  constructor(options: Http1ClientOptions = {}) {
    this.#ownWheel = options.wheel === undefined;
    this.#wheel = options.wheel ?? new TimerWheel();
    this.#wheel.start();
    this.#tls = options.tls ?? {};
    this.#limits = {
      maxConnections: options.maxConnections ?? 1024,
      maxConnecting: options.maxConnecting ?? 64,
      maxWaiting: options.maxWaiting ?? 10_000,
      idleTimeoutMs: options.idleTimeoutMs ?? 30_000,
    };
  }

  send(upstream: Upstream, request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    return this.pool(upstream).open(request, handler);
  }

  pool(upstream: Upstream): TargetPool {
    let pool = this.#pools.get(upstream);
    if (pool === undefined) {
      pool = new TargetPool(upstream, this.#wheel, this.#limits, this.#tls, this.#sessions, () =>
        this.#pools.delete(upstream),
      );
      this.#pools.set(upstream, pool);
    }
    return pool;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
    if (this.#ownWheel) this.#wheel.stop();
  }
}
