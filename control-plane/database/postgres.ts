import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { Database, Isolation, Queryable, Row } from './database.ts';

const oid = { int8: 20, date: 1082 };

const types = {
  getTypeParser(id: number, format?: 'text' | 'binary') {
    if (id === oid.int8) return Number;
    if (id === oid.date) return (text: string) => text;
    return pg.types.getTypeParser(id, format as 'text');
  },
} as pg.CustomTypesConfig;

export interface PostgresOptions {
  readonly url: string;
  readonly poolSize?: number;
  readonly onError?: (error: Error) => void;
}

/** Connects to PostgreSQL; rejects when no connection can be made. */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const settings: pg.PoolConfig = {
    connectionString: options.url,
    types,
    application_name: 'tollgate',
    connectionTimeoutMillis: 5000,
    // Compiling these short statements would take tens of milliseconds, and running them takes less than one.
    options: '-c timezone=UTC -c jit=off',
  };
  const pool = new pg.Pool({ ...settings, max: options.poolSize ?? 10, idleTimeoutMillis: 30_000 });
  const onError = options.onError ?? (() => {});
  pool.on('error', onError);
  await pool.query('SELECT 1').catch(async (error: unknown) => {
    await pool.end();
    throw error;
  });

  const queryable = (target: Pick<pg.ClientBase, 'query'>): Queryable => ({
    async query<R extends object = Row>(text: string, values: readonly unknown[] = []): Promise<R[]> {
      return (await target.query(text, values as unknown[])).rows as R[];
    },
    async execute(text, values = []) {
      return (await target.query(text, values as unknown[])).rowCount ?? 0;
    },
  });

  const listeners = new Set<() => Promise<void>>();

  return {
    engine: 'postgres',
    ...queryable(pool as unknown as Pick<pg.ClientBase, 'query'>),
    async transaction<T>(work: (tx: Queryable) => Promise<T>, isolation?: Isolation): Promise<T> {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        await client.query(isolation ? `BEGIN ISOLATION LEVEL ${isolation}` : 'BEGIN');
        const result = await work(queryable(client));
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((failure: Error) => {
          broken = failure;
        });
        throw error;
      } finally {
        client.release(broken);
      }
    },
    async script(text) {
      await pool.query(text);
    },
    async listen(channel, onNotify) {
      const stop = await keepListening(settings, channel, onNotify, onError);
      listeners.add(stop);
      return async () => {
        listeners.delete(stop);
        await stop();
      };
    },
    async close() {
      await Promise.all([...listeners].map((stop) => stop()));
      await pool.end();
    },
  };
}

/** Holds one connection that listens, and makes a new one whenever it is lost. */
async function keepListening(
  settings: pg.PoolConfig,
  channel: string,
  onNotify: (payload: string | null) => void,
  onError: (error: Error) => void,
): Promise<() => Promise<void>> {
  let client: pg.Client | null = null;
  const stopping = new AbortController();

  const connect = async (): Promise<void> => {
    const next = new pg.Client({ ...settings, keepAlive: true });
    let lost = false;
    const lose = (error?: Error): void => {
      if (lost) return;
      lost = true;
      if (error) onError(error);
      void next.end().catch(() => {});
      if (client === next) void reconnect();
    };
    next.on('error', lose);
    next.on('end', () => lose());
    next.on('notification', (message) => onNotify(message.payload ?? ''));
    await next.connect();
    await next.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
    client = next;
  };
  const reconnect = async (): Promise<void> => {
    client = null;
    for (let waitMs = 100; !stopping.signal.aborted; waitMs = Math.min(waitMs * 2, 5000)) {
      try {
        await connect();
        onNotify(null);
        return;
      } catch (error) {
        onError(error as Error);
        await delay(waitMs * (0.5 + Math.random()), undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
  };

  await connect();
  return async () => {
    stopping.abort();
    const open = client;
    client = null;
    await open?.end();
  };
}
