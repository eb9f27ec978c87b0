import { mkdirSync } from 'node:fs';
import { PGlite, types } from '@electric-sql/pglite';
import type { Database, Isolation, Queryable, Row } from './database.ts';

/** Opens the embedded database in a folder, made on first use; without a folder it lives in memory. */
export async function openPglite(folder: string | null): Promise<Database> {
  if (folder !== null) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const pglite = await PGlite.create({
    ...(folder === null ? {} : { dataDir: folder }),
    parsers: { [types.DATE]: (text: string) => text },
  });
  await pglite.exec(`SET TIME ZONE 'UTC'`);

  const queryable = (target: Pick<PGlite, 'query'>): Queryable => ({
    async query<R extends object = Row>(text: string, values: readonly unknown[] = []): Promise<R[]> {
      return (await target.query<R>(text, values as unknown[])).rows;
    },
    async execute(text, values = []) {
      return (await target.query(text, values as unknown[])).affectedRows ?? 0;
    },
  });

  return {
    engine: 'pglite',
    ...queryable(pglite),
    transaction<T>(work: (tx: Queryable) => Promise<T>, isolation?: Isolation): Promise<T> {
      return pglite.transaction(async (tx) => {
        if (isolation) await tx.exec(`SET TRANSACTION ISOLATION LEVEL ${isolation}`);
        return await work(queryable(tx as unknown as Pick<PGlite, 'query'>));
      }) as Promise<T>;
    },
    async script(text) {
      await pglite.exec(text);
    },
    listen(channel, onNotify) {
      return pglite.listen(channel, onNotify) as Promise<() => Promise<void>>;
    },
    async close() {
      await pglite.close();
    },
  };
}
