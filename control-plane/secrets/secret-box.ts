import { randomBytes } from 'node:crypto';
import { dataKeyLength, openSecret, sealSecret } from '#contract/sealing.ts';
import type { Database } from '../database/database.ts';
import { ProblemError } from '../http/problem.ts';
import { mintId } from '../identifiers.ts';
import { type KeyProvider, ProviderError } from './provider.ts';

const dataKeyLock = 0x64_6b_65_79;

export interface DataKeyRow {
  readonly id: string;
  readonly provider: string;
  readonly wrapped: string;
}

/**
 * Seals secrets under the current data key. Data keys are opened by their key provider once and then kept in memory
 * only, so that sealing and opening go on while the provider is away.
 */
export class SecretBox {
  readonly #db: Database;
  readonly #providers: readonly KeyProvider[];
  readonly #opened = new Map<string, Buffer>();

  /** The first provider wraps; the others open what they have wrapped before. */
  constructor(db: Database, providers: readonly KeyProvider[]) {
    this.#db = db;
    this.#providers = providers;
  }

  get provider(): KeyProvider {
    return this.#providers[0]!;
  }

  /** Seals a secret for `subject`, the key id it belongs to. */
  async seal(subject: string, secret: string): Promise<{ dataKey: string; box: string }> {
    const current = (await this.#current()) ?? (await this.#create(false));
    return { dataKey: current.id, box: sealSecret(await this.openDataKey(current), subject, secret) };
  }

  /** The secret in a box, or null when it is not the subject's. */
  async open(subject: string, dataKeyId: string, box: string): Promise<string | null> {
    const opened = this.#opened.get(dataKeyId);
    if (opened) return openSecret(opened, subject, box);
    const [row] = await this.#db.query<DataKeyRow>(
      'SELECT id, provider, wrapped FROM data_keys WHERE id = $1',
      [dataKeyId],
    );
    return row ? openSecret(await this.openDataKey(row), subject, box) : null;
  }

  /** Makes a new data key, under which everything is sealed from now on, and retires the others. */
  async rotate(): Promise<string> {
    return (await this.#create(true)).id;
  }

  /** Opens the current data key, so that a provider that is away is noticed at the start. */
  async warm(): Promise<void> {
    await this.openDataKey((await this.#current()) ?? (await this.#create(false)));
  }

  /** The bytes of a data key. */
  async openDataKey(row: DataKeyRow): Promise<Buffer> {
    const known = this.#opened.get(row.id);
    if (known) return known;
    const provider = this.#providers.find(({ name }) => name === row.provider);
    if (!provider) {
      throw providerAway(new ProviderError(`data key ${row.id} belongs to key provider ${row.provider}`));
    }
    const dataKey = await provider.unwrap(row.id, row.wrapped).catch((error: Error) => {
      throw providerAway(error);
    });
    this.#opened.set(row.id, dataKey);
    return dataKey;
  }

  /** Wraps a data key anew with the current provider, under the newest version of its key. */
  async wrapAgain(row: DataKeyRow): Promise<string> {
    const dataKey = await this.openDataKey(row);
    return await this.provider.wrap(row.id, dataKey).catch((error: Error) => {
      throw providerAway(error);
    });
  }

  async #current(): Promise<DataKeyRow | undefined> {
    const [row] = await this.#db.query<DataKeyRow>(
      `SELECT id, provider, wrapped FROM data_keys WHERE retired_at IS NULL ORDER BY created_at DESC, id LIMIT 1`,
    );
    return row;
  }

  async #create(always: boolean): Promise<DataKeyRow> {
    const id = mintId('dk');
    const dataKey = randomBytes(dataKeyLength);
    const wrapped = await this.provider.wrap(id, dataKey).catch((error: Error) => {
      throw providerAway(error);
    });
    return await this.#db.transaction(async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock($1)', [dataKeyLock]);
      const row = { id, provider: this.provider.name, wrapped };
      if (!always) {
        const [other] = await tx.query<DataKeyRow>(
          'SELECT id, provider, wrapped FROM data_keys WHERE retired_at IS NULL LIMIT 1',
        );
        if (other) return other;
      }
      await tx.execute('UPDATE data_keys SET retired_at = now() WHERE retired_at IS NULL');
      await tx.execute('INSERT INTO data_keys (id, provider, wrapped) VALUES ($1, $2, $3)', [
        row.id,
        row.provider,
        row.wrapped,
      ]);
      this.#opened.set(id, dataKey);
      return row;
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
