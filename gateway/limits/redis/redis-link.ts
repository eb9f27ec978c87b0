import { Cluster, Redis } from 'ioredis';
import { slotOf } from './ledger-keys.ts';
import { loadScripts, type Script, type ScriptName } from './scripts.ts';

export interface RedisLinkOptions {
  /** `redis://…` or `rediss://…`; several, separated by commas, are nodes of a Redis Cluster. */
  readonly url: string;
  /** How long the oldest call may be unanswered before Redis counts as away. Default: 100. */
  readonly detectMs?: number;
  /** How often an absent Redis is probed. Default: 100. */
  readonly probeMs?: number;
  /** Called once when a server goes away and once when it is back. */
  readonly onChange?: (server: string, away: boolean, detail: string) => void;
}

interface Call {
  readonly startedAt: number;
}

/** What the limiters need of the connection to the ledger. */
export interface LedgerLink {
  readonly isCluster: boolean;
  /** How many calls have failed: of these it is not known whether they were carried out. */
  readonly failures: number;
  /** Whether the server of this hash tag is away, as far as is known. */
  isAway(tag: string): boolean;
  /** Whether a call could be sent now, be it that its answer will be late. */
  isConnected(): boolean;
  /** Runs a script on keys of one slot (`tag` is in all of them). Rejects when it cannot be known to have run. */
  run(script: ScriptName, tag: string, keys: readonly string[], args: readonly string[]): Promise<number[]>;
  close(): Promise<void>;
}

/** One server that answers for itself: the only one, or a master of the cluster. */
class Lane {
  readonly name: string;
  away = false;
  awaySince = 0;
  reconnectedAt = 0;
  /** A hash tag that this server answers for. */
  tag: string;
  probing = false;
  readonly underWay = new Set<Call>();

  constructor(name: string, tag: string) {
    this.name = name;
    this.tag = tag;
  }
}

/** What the nodes that a cluster names itself are reached with. */
function credentialsOf(url: string): { username?: string; password?: string; tls?: object } {
  const { username, password, protocol } = new URL(url);
  return {
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
}

const watchMs = 25;
/** A connection on which nothing has been answered for so long is given up for a new one. */
const stuckMs = 1500;
const quitMs = 300;

/**
 * The connection to the ledger: runs the scripts and knows at once whether a server is away. A call is sent once and
 * never again by itself, since it may have been carried out although its answer was lost.
 */
export class RedisLink implements LedgerLink {
  readonly isCluster: boolean;
  /** Script calls since the start, by script. */
  readonly calls: Record<ScriptName, number> = { take: 0, lease: 0, return: 0, quota: 0 };
  failures = 0;
  readonly #client: Redis | Cluster;
  readonly #scripts = loadScripts();
  readonly #lanes = new Map<string, Lane>();
  readonly #detectMs: number;
  readonly #probeMs: number;
  readonly #onChange: (server: string, away: boolean, detail: string) => void;
  readonly #watch: NodeJS.Timeout;
  #lastProbe = 0;
  #closed = false;

  constructor(options: RedisLinkOptions) {
    this.#detectMs = options.detectMs ?? 100;
    this.#probeMs = options.probeMs ?? 100;
    this.#onChange = options.onChange ?? (() => undefined);
    const urls = options.url.split(',').map((url) => url.trim());
    this.isCluster = urls.length > 1;
    const common = {
      enableReadyCheck: true,
      autoResendUnfulfilledCommands: false,
      connectTimeout: 1000,
      keepAlive: 10_000,
    };
    if (this.isCluster) {
      this.#client = new Cluster(urls, {
        redisOptions: { ...common, ...credentialsOf(urls[0]!), maxRetriesPerRequest: 0 },
        enableOfflineQueue: false,
        clusterRetryStrategy: () => 100,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        maxRedirections: 3,
        slotsRefreshInterval: 1000,
        slotsRefreshTimeout: 500,
      });
    } else {
      this.#client = new Redis(urls[0]!, {
        ...common,
        enableOfflineQueue: false,
        maxRetriesPerRequest: 0,
        retryStrategy: (times) => Math.min(50 * times, 250),
      });
    }
    // Errors are seen on the calls and in what the watch finds.
    this.#client.on('error', () => undefined);
    this.#client.on('close', () => {
      if (!this.isCluster) this.#setAway(this.#laneOf('probe'), 'connection closed');
    });
    // So that the first call of each script is not answered NOSCRIPT; those of a cluster find out by themselves.
    if (this.#client instanceof Redis) {
      const client = this.#client;
      client.on('ready', () => {
        for (const { source } of Object.values(this.#scripts)) {
          client.call('SCRIPT', 'LOAD', source).catch(() => undefined);
        }
      });
    }
    this.#watch = setInterval(() => this.#look(), watchMs);
    this.#watch.unref();
  }

  /** Resolves when connected, or after `timeoutMs` at the latest. */
  async ready(timeoutMs: number): Promise<boolean> {
    if (this.#client.status === 'ready') return true;
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#client.once('ready', () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  isAway(tag: string): boolean {
    return this.#laneOf(tag).away;
  }

  isConnected(): boolean {
    return this.#client.status === 'ready';
  }

  get awayServers(): number {
    let count = 0;
    for (const lane of this.#lanes.values()) if (lane.away) count++;
    return count;
  }

  async run(
    script: ScriptName,
    tag: string,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<number[]> {
    const lane = this.#laneOf(tag);
    const call: Call = { startedAt: performance.now() };
    lane.underWay.add(call);
    this.calls[script]++;
    try {
      return await this.#evaluate(this.#scripts[script], keys, args);
    } catch (error) {
      this.failures++;
      if (!this.#closed) this.#setAway(lane, String((error as Error).message));
      throw error;
    } finally {
      lane.underWay.delete(call);
    }
  }

  /** Runs a plain command that is no part of a decision. */
  async command(name: string, ...args: string[]): Promise<unknown> {
    return await this.#client.call(name, ...args);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watch);
    const client = this.#client;
    if (client.status === 'ready') {
      // A server that is away does not answer this either.
      const timer = setTimeout(() => client.disconnect(), quitMs);
      await client.quit().catch(() => undefined);
      clearTimeout(timer);
    }
    client.disconnect();
  }

  async #evaluate(script: Script, keys: readonly string[], args: readonly string[]): Promise<number[]> {
    try {
      return (await this.#client.call(
        'EVALSHA',
        script.sha1,
        String(keys.length),
        ...keys,
        ...args,
      )) as number[];
    } catch (error) {
      if (!String((error as Error).message).startsWith('NOSCRIPT')) throw error;
      return (await this.#client.call(
        'EVAL',
        script.source,
        String(keys.length),
        ...keys,
        ...args,
      )) as number[];
    }
  }

  #laneOf(tag: string): Lane {
    const client = this.#client;
    const name = client instanceof Cluster ? (client.slots[slotOf(tag)]?.[0] ?? 'cluster') : 'redis';
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = new Lane(name, tag);
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  #look(): void {
    const now = performance.now();
    let probe = false;
    for (const lane of this.#lanes.values()) {
      const oldest = lane.underWay.values().next().value;
      if (!lane.away && oldest !== undefined && now - oldest.startedAt > this.#detectMs) {
        this.#setAway(lane, `no answer for ${this.#detectMs} ms`);
      }
      if (lane.away && oldest !== undefined && now - oldest.startedAt > stuckMs) this.#reconnect(lane, now);
      if (lane.away && !lane.probing && now - this.#lastProbe >= this.#probeMs) {
        probe = true;
        void this.#probe(lane);
      }
    }
    if (probe) this.#lastProbe = now;
  }

  /** The other end may have vanished without a word: TCP alone would take minutes to notice. */
  #reconnect(lane: Lane, now: number): void {
    if (now - lane.reconnectedAt < stuckMs) return;
    lane.reconnectedAt = now;
    const client = this.#client;
    if (client instanceof Redis) {
      client.disconnect(true);
      return;
    }
    for (const node of client.nodes('all')) {
      if (`${node.options.host}:${node.options.port}` === lane.name) node.disconnect();
    }
  }

  /** A server is back when it takes a write in the time that a call may take. */
  async #probe(lane: Lane): Promise<void> {
    lane.probing = true;
    const startedAt = performance.now();
    // Counts as under way, so that a dead connection is noticed without traffic too.
    const call: Call = { startedAt };
    lane.underWay.add(call);
    try {
      await this.#client.call('SET', `tg:{${lane.tag}}:probe`, '1', 'PX', '60000');
      // A cluster may have given the slot to another server meanwhile; then this one is nobody's any more.
      const current = this.#laneOf(lane.tag);
      if (current !== lane) this.#lanes.delete(lane.name);
      if (performance.now() - startedAt <= this.#detectMs) this.#setBack(lane);
    } catch {
      // Still away.
    } finally {
      lane.underWay.delete(call);
      lane.probing = false;
    }
  }

  #setAway(lane: Lane, reason: string): void {
    if (lane.away || this.#closed) return;
    lane.away = true;
    lane.awaySince = performance.now();
    this.#onChange(lane.name, true, reason);
  }

  #setBack(lane: Lane): void {
    if (!lane.away || this.#closed) return;
    lane.away = false;
    this.#onChange(lane.name, false, `after ${Math.round(performance.now() - lane.awaySince)} ms`);
  }
}
