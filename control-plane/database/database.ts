/**
 * The one interface to the database, PostgreSQL or the embedded PGlite. Values are passed as parameters only.
 * Both engines give `bigint` as number, `numeric` and `date` as text, `timestamptz` as Date, JSON as values. JSON
 * parameters are passed as text (`JSON.stringify`).
 */

export type Row = Record<string, unknown>;

export interface Queryable {
  query<R extends object = Row>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** Runs a statement and tells how many rows it changed. */
  execute(text: string, values?: readonly unknown[]): Promise<number>;
}

export interface Database extends Queryable {
  readonly engine: 'pglite' | 'postgres';
  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. Inside, only the given
   * `Queryable` may be used: the embedded engine has one connection.
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>, isolation?: Isolation): Promise<T>;
  /** Runs a script of several statements without parameters. */
  script(text: string): Promise<void>;
  /**
   * Calls `onNotify` with the payload of every NOTIFY on the channel, and with null whenever some may have been
   * missed, as after a lost connection. Resolves, once listening, to a function that stops it.
   */
  listen(channel: string, onNotify: (payload: string | null) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export type Isolation = 'read committed' | 'repeatable read' | 'serializable';

/** The SQLSTATE of a database error, or null. */
export function sqlState(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

export function isUniqueViolation(error: unknown): boolean {
  return sqlState(error) === '23505';
}

/**
 * Reads the rows of a query within a transaction in batches through a cursor.
 */
export async function* readInBatches<R extends object = Row>(
  tx: Queryable,
  text: string,
  values: readonly unknown[],
  batchSize: number,
): AsyncGenerator<R[]> {
  await tx.execute(`DECLARE batch_cursor NO SCROLL CURSOR FOR ${text}`, values);
  for (;;) {
    const rows = await tx.query<R>(`FETCH ${Math.trunc(batchSize)} FROM batch_cursor`);
    if (rows.length > 0) yield rows;
    if (rows.length < batchSize) break;
  }
  await tx.execute('CLOSE batch_cursor');
}
