import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type ConsumerOptions, pauseMsOf, type UsageConsumer } from './consumer.ts';

export interface RedisConsumerOptions extends ConsumerOptions {
  readonly url: string;
  readonly stream?: string;
  readonly group?: string;
  /** Entries that another consumer took and has not acknowledged for so long are taken over. Default: 60,000. */
  readonly takeOverMs?: number;
}

type Entry = [id: string, fields: Buffer[]];
const entriesAtOnce = 32;

/**
 * Consumes a Redis stream as one of a group: each entry goes to one consumer, and to another if that one dies.
 * Entries are acknowledged and removed once they are committed.
 */
export function startRedisConsumer(options: RedisConsumerOptions): UsageConsumer {
  const stream = options.stream ?? 'tollgate:usage';
  const group = options.group ?? 'tollgate-usage';
  const consumer = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  const takeOverMs = options.takeOverMs ?? 60_000;
  const redis = new Redis(options.url, {
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1000),
  });
  redis.on('error', () => {});
  const stopping = new AbortController();
  let grouped = false;
  let nextTakeOver = 0;
  /** Entries that were delivered to this consumer and are still to be ingested come first. */
  let unfinished = false;

  const read = async (): Promise<Entry[]> => {
    if (!grouped) {
      await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM').catch((error: Error) => {
        if (!error.message.startsWith('BUSYGROUP')) throw error;
      });
      grouped = true;
    }
    if (Date.now() >= nextTakeOver) {
      nextTakeOver = Date.now() + takeOverMs / 2;
      const claim = [stream, group, consumer, takeOverMs, '0', 'COUNT', entriesAtOnce];
      const [, taken] = (await redis.callBuffer('XAUTOCLAIM', ...claim)) as [
        Buffer,
        [Buffer, Buffer[] | null][],
      ];
      if (taken.length > 0) return toEntries(taken);
    }
    const from = unfinished ? '0' : '>';
    const reply = (await redis.xreadgroupBuffer(
      ...([
        'GROUP',
        group,
        consumer,
        'COUNT',
        entriesAtOnce,
        'BLOCK',
        1000,
        'STREAMS',
        stream,
        from,
      ] as const),
    )) as [Buffer, [Buffer, Buffer[] | null][]][] | null;
    const entries = reply?.[0] ? toEntries(reply[0][1]) : [];
    if (entries.length === 0) unfinished = false;
    return entries;
  };

  const finish = async (entries: readonly Entry[]): Promise<void> => {
    const ids = entries.map(([id]) => id);
    const results = await redis
      .multi()
      .xack(stream, group, ...ids)
      .xdel(stream, ...ids)
      .exec();
    for (const [error] of results ?? []) if (error) throw error;
  };

  const run = async (): Promise<void> => {
    for (let attempt = 0; !stopping.signal.aborted; ) {
      try {
        const entries = await read();
        if (entries.length === 0) continue;
        unfinished = true;
        await options.ingest(
          entries.map(([, fields]) => fields[1] ?? Buffer.alloc(0)),
          `redis ${stream}`,
        );
        await finish(entries);
        attempt = 0;
      } catch (error) {
        if (stopping.signal.aborted) return;
        // A Redis that came back empty has no group.
        if (/NOGROUP/.test((error as Error).message)) grouped = false;
        options.onError(error as Error);
        await delay(pauseMsOf(options, ++attempt), undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
  };
  const done = run();

  return {
    name: 'redis',
    async lag() {
      const groups = (await redis.xinfo('GROUPS', stream).catch(() => null)) as unknown[][] | null;
      for (const fields of groups ?? []) {
        const entry = new Map<unknown, unknown>();
        for (let i = 0; i < fields.length; i += 2) entry.set(fields[i], fields[i + 1]);
        if (entry.get('name') === group) return Number(entry.get('pending')) + Number(entry.get('lag') ?? 0);
      }
      return null;
    },
    async close() {
      stopping.abort();
      redis.disconnect();
      await done;
    },
  };
}

/** Entries that were removed while pending have no fields; there is nothing to ingest, only to acknowledge. */
function toEntries(raw: readonly [Buffer, Buffer[] | null][]): Entry[] {
  return raw.map(([id, fields]) => [id.toString(), fields ?? []]);
}
