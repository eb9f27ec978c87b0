import { randomBytes } from 'node:crypto';
import { dataKeyLength, openSecret, sealSecret } from '#contract/sealing.ts';
import type { Database } from '../database/database.ts';
import { ProblemError } from '../http/problem.ts';
import { mintId } from '../identifiers.ts';
import type { KeyProvider } from './provider.ts';

const dataKeyLock = 0x64_6b_65_79;

interface DataKeyRow {
  id: string;
  provider: string;
  wrapped: string;
}

/**
 * Seals secrets under the current data key. Data keys are opened by the key provider once and then kept in memory
 * only, so that sealing and opening go on while the provider is away.
 */
export class SecretBox {
  readonly #db: Database;
  readonly #provider: KeyProvider;
  readonly #opened = new Map<string, Buffer>();

  constructor(db: Database, provider: KeyProvider) {
    this.#db = db;
    this.#provider = provider;
  }

  get providerName(): string {
    return this.#provider.name;
  }

  /** Seals a secret for `subject`, the key id it belongs to. */
  async seal(subject: string, secret: string): Promise<{ dataKey: string; box: string }> {
    const current = (await this.#current()) ?? (await this.#create());
    return { dataKey: current.id, box: sealSecret(await this.#open(current), subject, secret) };
  }

  /** The secret in a box, or null when it is not the subject's. */
  async open(subject: string, dataKeyId: string, box: string): Promise<string | null> {
    const opened = this.#opened.get(dataKeyId);
    if (opened) return openSecret(opened, subject, box);
    const [row] = await this.#db.query<DataKeyRow>(
      'SELECT id, provider, wrapped FROM data_keys WHERE id = $1',
      [dataKeyId],
    );
    return row ? openSecret(await this.#open(row), subject, box) : null;
  }

  /** Makes a new data key, under which everything is sealed from now on. */
  async rotate(): Promise<string> {
    return (await this.#create(true)).id;
  }

  /** Opens the current data key, so that a provider that is away is noticed at the start. */
  async warm(): Promise<void> {
    await this.#open((await this.#current()) ?? (await this.#create()));
  }

  async #current(): Promise<DataKeyRow | undefined> {
    const [row] = await this.#db.query<DataKeyRow>(
      `SELECT id, provider, wrapped FROM data_keys WHERE retired_at IS NULL AND provider = $1
       ORDER BY created_at DESC, id LIMIT 1`,
      [this.#provider.name],
    );
    return row;
  }

  async #open(row: DataKeyRow): Promise<Buffer> {
    const known = this.#opened.get(row.id);
    if (known) return known;
    if (row.provider !== this.#provider.name) {
      throw new ProblemError('unavailable', `Data key ${row.id} belongs to key provider ${row.provider}.`);
    }
    const dataKey = await this.#provider.unwrap(row.id, row.wrapped).catch((error: Error) => {
      throw providerAway(error);
    });
    this.#opened.set(row.id, dataKey);
    return dataKey;
  }

  async #create(always = false): Promise<DataKeyRow> {
    const id = mintId('dk');
    const dataKey = randomBytes(dataKeyLength);
    const wrapped = await this.#provider.wrap(id, dataKey).catch((error: Error) => {
      throw providerAway(error);
    });
    return await this.#db.transaction(async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock($1)', [dataKeyLock]);
      if (!always) {
        const [other] = await tx.query<DataKeyRow>(
          'SELECT id, provider, wrapped FROM data_keys WHERE retired_at IS NULL AND provider = $1 LIMIT 1',
          [this.#provider.name],
        );
        if (other) return other;
      }
      await tx.execute('INSERT INTO data_keys (id, provider, wrapped) VALUES ($1, $2, $3)', [
        id,
        this.#provider.name,
        wrapped,
      ]);
      this.#opened.set(id, dataKey);
      return { id, provider: this.#provider.name, wrapped };
    });
  }
}

function providerAway(cause: Error): ProblemError {
  const problem = new ProblemError(
    'unavailable',
    'The key provider cannot be reached now; retry later.',
    undefined,
    { 'retry-after': '5' },
  );
  problem.cause = cause;
  return problem;
}
