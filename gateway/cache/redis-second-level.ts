import { createHash, randomUUID } from 'node:crypto';
import { Cluster, Redis } from 'ioredis';
import type { Release } from './flight-locks.ts';
import { decodeRecord, encodeRecord } from './record-codec.ts';
import type { BroadPurge } from './removal.ts';
import { splitAddress } from './removal.ts';
import type { SecondLevel } from './second-level.ts';
import type { ResponseRecord } from './stored-response.ts';

export interface RedisSecondLevelOptions {
  /** `redis://…` or `rediss://…`; several, separated by commas, are nodes of a cluster. */
  readonly url: string;
  readonly allocate: (bytes: number) => Buffer;
  readonly now: () => number;
  /** Called when Redis goes away and when it is back. */
  readonly onChange?: (away: boolean, detail: string) => void;
  /** No command is waited for longer; the upstream is asked instead. Default: 100. */
  readonly commandTimeoutMs?: number;
}

/** What has a validator is worth keeping beyond its freshness. */
const validationMs = 600_000;
/** The lock of a gateway that died runs out. */
const lockMs = 15_000;
const pollMs = 20;

const releaseScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/**
 * The second level in Redis: a hash for each resource with a field for each variant, a set of resources for each
 * surrogate key, and a lock for what a gateway is fetching. Whenever Redis fails or is slow, it is as if nothing were
 * stored.
 */
export class RedisSecondLevel implements SecondLevel {
  readonly #client: Redis | Cluster;
  readonly #options: RedisSecondLevelOptions;
  /** Until it has connected. */
  #away = true;

  constructor(options: RedisSecondLevelOptions) {
    this.#options = options;
    const urls = options.url.split(',').map((url) => url.trim());
    const common = {
      commandTimeout: options.commandTimeoutMs ?? 100,
      connectTimeout: 1000,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
    };
    this.#client =
      urls.length > 1
        ? new Cluster(urls, { redisOptions: common, enableOfflineQueue: false })
        : new Redis(urls[0]!, { ...common, enableOfflineQueue: false });
    this.#client.on('error', (error: Error) => this.#note(true, error.message));
    this.#client.on('ready', () => this.#note(false, ''));
    this.#client.on('close', () => this.#note(true, 'closed'));
  }

  #note(away: boolean, detail: string): void {
    if (away === this.#away) return;
    this.#away = away;
    this.#options.onChange?.(away, detail);
  }

  async look(wanted: {
    readonly key: string;
    readonly resource: string;
    readonly waitTimeoutMs: number;
  }): Promise<{ records: readonly ResponseRecord[]; release: Release | null }> {
    const records = await this.#read(wanted.resource);
    if (records.some((record) => this.#isFresh(record))) return { records, release: null };
    const lock = `tollgate:cache:lock:${digest(wanted.key)}`;
    const token = randomUUID();
    if ((await this.#client.set(lock, token, 'PX', lockMs, 'NX')) === 'OK') {
      return { records, release: () => this.#background(this.#client.eval(releaseScript, 1, lock, token)) };
    }
    return { records: await this.#awaitFetch(wanted, lock), release: null };
  }

  /** Another gateway fetches it: waits until it has stored it or has given up. */
  async #awaitFetch(
    wanted: { readonly resource: string; readonly waitTimeoutMs: number },
    lock: string,
  ): Promise<readonly ResponseRecord[]> {
    const until = performance.now() + Math.min(wanted.waitTimeoutMs, lockMs);
    while (performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, pollMs));
      const held = await this.#client.exists(lock);
      const records = await this.#read(wanted.resource);
      if (held === 0 || records.some((record) => this.#isFresh(record))) return records;
    }
    return [];
  }

  async #read(resource: string): Promise<ResponseRecord[]> {
    const fields = await this.#client.hvalsBuffer(hashOf(resource));
    const records: ResponseRecord[] = [];
    for (const bytes of fields) {
      const record = decodeRecord(bytes, this.#options.allocate);
      if (record !== null && record.resource === resource) records.push(record);
    }
    return records;
  }

  #isFresh({ responseTimeMs, initialAgeMs, lifetimeMs }: ResponseRecord): boolean {
    return initialAgeMs + this.#options.now() - responseTimeMs < lifetimeMs;
  }

  put(record: ResponseRecord): void {
    const lastMs =
      record.lifetimeMs -
      record.initialAgeMs +
      Math.max(record.staleWhileRevalidateMs, record.staleIfErrorMs);
    const keepMs = Math.min(Math.max(lastMs, 0) + validationMs, 30 * 86_400_000);
    const hash = hashOf(record.resource);
    const { partition, consumer, vary, selecting } = record;
    const field = digest([partition, consumer ?? '', vary.join(), selecting].join('\n'));
    this.#background(
      Promise.all([
        this.#client.hset(hash, field, encodeRecord(record)),
        this.#client.pexpire(hash, Math.ceil(keepMs)),
        ...record.tags.flatMap((tag) => [
          this.#client.sadd(setOf(tag), record.resource),
          this.#client.pexpire(setOf(tag), 30 * 86_400_000),
        ]),
      ]),
    );
  }

  invalidate(resource: string): void {
    this.#background(this.#client.unlink(hashOf(resource)));
  }

  /** A soft purge removes here: what the gateways hold stays for validation. */
  purge(purge: BroadPurge): void {
    this.#background(this.#purge(purge));
  }

  async #purge(purge: BroadPurge): Promise<void> {
    if (purge.kind === 'key') {
      const resources = await this.#client.smembers(setOf(purge.value));
      await Promise.all(resources.map((resource) => this.#client.unlink(hashOf(resource))));
      await this.#client.unlink(setOf(purge.value));
      return;
    }
    let pattern = `${hashPrefix}*`;
    if (purge.kind === 'prefix') {
      const { host, target } = splitAddress(purge.value);
      pattern = `${hashPrefix}${`${host} ${target}`.replace(/[\\*?[\]]/g, '\\$&')}*`;
    }
    const nodes = this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
    for (const node of nodes) {
      let cursor = '0';
      do {
        const [next, keys] = await node.scan(cursor, 'MATCH', pattern, 'COUNT', 1000);
        cursor = next;
        await Promise.all(keys.map((key) => this.#client.unlink(key)));
      } while (cursor !== '0');
    }
  }

  #background(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#note(true, String((error as Error)?.message ?? error)));
  }

  async close(): Promise<void> {
    this.#client.disconnect();
  }
}

const hashPrefix = 'tollgate:cache:r:';

function hashOf(resource: string): string {
  return hashPrefix + resource;
}

function setOf(tag: string): string {
  return `tollgate:cache:tag:${tag}`;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
