import { type Database, type Queryable, readInBatches } from '../database/database.ts';

/** Changes up to a revision, as JSON text: they go to gateways as the database made them. */
export interface DeltaText {
  readonly revision: number;
  /** The whole line of the stream, without its end. */
  readonly line: string;
}

const maxChangesPerDelta = 5000;
/** A revision that changed more than this is not sent as one line: gateways take a snapshot. */
const maxChangesPerRevision = 50_000;
const snapshotBatch = 2000;

interface ObjectRow {
  kind: string;
  id: string;
  object: string | null;
}

interface ChangeRow extends ObjectRow {
  head: number;
  floor: number;
}

export async function readHead(db: Queryable): Promise<{ revision: number; floor: number }> {
  const [head] = await db.query<{ revision: number; floor: number }>(
    'SELECT revision, floor FROM registry_head',
  );
  return head!;
}

/**
 * What changed after revision `from`: a delta, `snapshot` when a delta cannot tell it, or null when nothing did.
 * Long histories come in several deltas, each ending at a revision.
 */
export async function readDelta(db: Database, from: number): Promise<DeltaText | 'snapshot' | null> {
  // One statement, so that head and objects are of one moment. Configuration comes first, because keys refer to it.
  const rows = await db.query<ChangeRow>(
    `SELECT h.revision AS head, h.floor, c.kind, c.id, registry_object(c.kind, c.id)::text AS object
     FROM registry_head h
     LEFT JOIN (SELECT kind, id, revision FROM registry_changes WHERE revision > $1 ORDER BY revision LIMIT $2) c
       ON true
     ORDER BY c.kind IN ('key', 'app'), c.revision, c.kind, c.id`,
    [from, maxChangesPerDelta + 1],
  );
  const { head, floor } = rows[0]!;
  if (from > head || from < floor) return 'snapshot';
  if (from === head) return null;
  if (rows.length > maxChangesPerDelta) return await readPart(db, from);
  return deltaOf(head, rows);
}

/** The first of several deltas: up to some revision, but with the whole configuration, so that no reference dangles. */
async function readPart(db: Database, from: number): Promise<DeltaText | 'snapshot'> {
  const pending = await db.query<{ revision: number }>(
    'SELECT revision FROM registry_changes WHERE revision > $1 ORDER BY revision OFFSET $2 LIMIT 1',
    [from, maxChangesPerDelta - 1],
  );
  const upTo = pending[0]?.revision;
  if (upTo === undefined || (await isHuge(db, upTo))) return 'snapshot';
  const rows = await db.query<ChangeRow>(
    `SELECT h.revision AS head, h.floor, c.kind, c.id, registry_object(c.kind, c.id)::text AS object
     FROM registry_head h
     JOIN registry_changes c ON c.revision > $1 AND (c.revision <= $2 OR c.kind NOT IN ('key', 'app'))
     ORDER BY c.kind IN ('key', 'app'), c.revision, c.kind, c.id`,
    [from, upTo],
  );
  return rows[0] && from < rows[0].floor ? 'snapshot' : deltaOf(upTo, rows);
}

function deltaOf(revision: number, rows: readonly ChangeRow[]): DeltaText {
  const changes = rows.filter((row) => row.kind !== null).map(changeText);
  return { revision, line: `{"type":"delta","revision":${revision},"changes":[${changes.join(',')}]}` };
}

async function isHuge(db: Queryable, revision: number): Promise<boolean> {
  const [row] = await db.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM (SELECT 1 FROM registry_changes WHERE revision = $1 LIMIT $2) counted',
    [revision, maxChangesPerRevision + 1],
  );
  return row!.n > maxChangesPerRevision;
}

function changeText(row: ObjectRow): string {
  return `{"kind":${JSON.stringify(row.kind)},"id":${JSON.stringify(row.id)},"object":${row.object ?? 'null'}}`;
}

/**
 * Sends the whole registry at one revision to `write`, in pieces of whole lines, and resolves to that revision.
 * With PostgreSQL it is read as fast as `write` takes it; the embedded database has one connection, which a slow
 * reader must not hold, so there it is read whole first.
 */
export async function sendSnapshot(
  db: Database,
  write: (text: string) => Promise<void> | void,
): Promise<number> {
  const held: string[] = [];
  const take = db.engine === 'pglite' ? (text: string) => void held.push(text) : write;
  const revision = await db.transaction(async (tx) => {
    const head = await readHead(tx);
    await take(`{"type":"snapshot","revision":${head.revision}}\n`);
    let count = 0;
    const batches = readInBatches<ObjectRow>(
      tx,
      'SELECT kind, id, object::text AS object FROM registry_objects',
      [],
      snapshotBatch,
    );
    for await (const rows of batches) {
      count += rows.length;
      let text = '';
      for (const row of rows) text += `{"type":"change",${changeText(row).slice(1)}\n`;
      await take(text);
    }
    await take(`{"type":"snapshot_end","revision":${head.revision},"count":${count}}\n`);
    return head.revision;
  }, 'repeatable read');
  for (const text of held) await write(text);
  return revision;
}
