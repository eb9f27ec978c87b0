import type { ConnectionOptions } from 'node:tls';
import type { TimerWheel } from '../../wire/timers/timer-wheel.ts';
import type { Upstream, UpstreamHandler, UpstreamRequest } from '../client.ts';
import { Http1Call } from './call.ts';
import { UpstreamConnection } from './connection.ts';

export interface PoolLimits {
  /** Connections to one target. */
  readonly maxConnections: number;
  /** Of these, under construction at once. */
  readonly maxConnecting: number;
  /** Requests that wait for a connection; one more is refused as unreachable. */
  readonly maxWaiting: number;
  readonly idleTimeoutMs: number;
}

/** The connections to one target. The one used last is used first, so that the others can go. */
export class TargetPool {
  readonly upstream: Upstream;
  readonly wheel: TimerWheel;
  readonly tls: ConnectionOptions;
  readonly idleTimeoutMs: number;
  readonly #limits: PoolLimits;
  readonly #sessions: WeakMap<Upstream, Buffer>;
  readonly #idle: UpstreamConnection[] = [];
  readonly #open = new Set<UpstreamConnection>();
  readonly #waiting = new Set<Http1Call>();
  #connecting = 0;
  #closing = false;
  readonly #onEmpty: () => void;
  #onClosedAll: (() => void) | null = null;

  /** `onEmpty` is called whenever the last connection has gone. */
  constructor(
    upstream: Upstream,
    wheel: TimerWheel,
    limits: PoolLimits,
    tls: ConnectionOptions,
    sessions: WeakMap<Upstream, Buffer>,
    onEmpty: () => void,
  ) {
    this.#onEmpty = () => {
      this.#onClosedAll?.();
      if (this.#waiting.size === 0) onEmpty();
    };
    this.upstream = upstream;
    this.#sessions = sessions;
    this.wheel = wheel;
    this.tls = tls;
    this.idleTimeoutMs = limits.idleTimeoutMs;
    this.#limits = limits;
  }

  get session(): Buffer | null {
    return this.#sessions.get(this.upstream) ?? null;
  }

  get connections(): number {
    return this.#open.size;
  }

  get idle(): number {
    return this.#idle.length;
  }

  open(request: UpstreamRequest, handler: UpstreamHandler): Http1Call {
    const call = new Http1Call(request, handler, this);
    this.send(call);
    return call;
  }

  send(call: Http1Call): void {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.usable) continue;
      connection.dispatch(call);
      return;
    }
    if (this.#waiting.size >= this.#limits.maxWaiting) {
      process.nextTick(failUnreachable, call);
      return;
    }
    this.#waiting.add(call);
    call.timer ??= this.wheel.timer(call);
    this.wheel.arm(call.timer, this.upstream.connectTimeoutMs);
    this.#grow();
  }

  /** A call that waited is no longer wanted. */
  forget(call: Http1Call): void {
    if (call.timer !== null) this.wheel.remove(call.timer);
    this.#waiting.delete(call);
  }

  release(connection: UpstreamConnection): void {
    const next = this.#next();
    if (next !== null) connection.dispatch(next);
    else if (this.#closing) connection.destroy();
    else {
      connection.rest();
      this.#idle.push(connection);
    }
  }

  keepSession(session: Buffer): void {
    this.#sessions.set(this.upstream, session);
  }

  onConnected(connection: UpstreamConnection): void {
    this.#connecting--;
    this.release(connection);
  }

  /** `timedOut`: while connecting; who waits has a deadline of his own then. */
  onClosed(connection: UpstreamConnection, wasConnected: boolean, timedOut: boolean): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (!wasConnected) {
      this.#connecting--;
      const failed = this.#first();
      if (failed !== null && !timedOut) {
        this.forget(failed);
        failed.fail('unreachable');
      }
    }
    this.#grow();
    if (this.#open.size === 0) this.#onEmpty();
  }

  /** Ends idle connections at once, the others with their requests. */
  close(): Promise<void> {
    this.#closing = true;
    for (const connection of this.#idle.splice(0)) connection.destroy();
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onClosedAll = resolve;
    });
  }

  #grow(): void {
    const { maxConnections, maxConnecting } = this.#limits;
    const wanted = Math.min(this.#waiting.size, maxConnecting);
    while (this.#connecting < wanted && this.#open.size < maxConnections) {
      this.#connecting++;
      this.#open.add(new UpstreamConnection(this));
    }
  }

  #first(): Http1Call | null {
    for (const call of this.#waiting) return call;
    return null;
  }

  #next(): Http1Call | null {
    if (this.#waiting.size === 0) return null;
    const call = this.#first();
    if (call !== null) this.forget(call);
    return call;
  }
}

function failUnreachable(call: Http1Call): void {
  call.fail('unreachable');
}
