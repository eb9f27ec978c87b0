import { X509Certificate } from 'node:crypto';
import type { Certificate } from '#contract/registry.ts';
import type { Database } from '../../database/database.ts';
import type { SecretBox } from '../../secrets/secret-box.ts';
import { deleteTenantResource, putTenantResource } from '../queries.ts';
import { type CertificateIssuer, IssueError } from './issuer.ts';

interface CertificateRow {
  id: string;
  names: string[];
  issuer: string;
  expires_at: Date | null;
  renew_at: Date | null;
  failures: number;
  failure_reason: string | null;
  next_attempt_at: Date | null;
  lease_owner: string | null;
  lease_until: Date | null;
}

export interface CertificateStoreOptions {
  readonly db: Database;
  readonly secrets: SecretBox;
  readonly issuer: () => Promise<CertificateIssuer>;
  /** This process, as the holder of leases. */
  readonly owner: string;
  readonly now: () => Date;
  readonly onIssued: (id: string, durationMs: number) => void;
  readonly onFailed: (id: string, error: Error) => void;
}

const leaseMs = 120_000;
const pollMs = 200;
const firstBackoffMs = 60_000;
/** Public authorities allow five failures an hour; with this many a day is never near it. */
const longestBackoffMs = 6 * 3_600_000;

/** Keeps certificates valid and in the registry, one order at a time for each over all instances. */
export class CertificateStore {
  readonly #options: CertificateStoreOptions;

  constructor(options: CertificateStoreOptions) {
    this.#options = options;
  }

  /** Resolves once a valid certificate for these names is in the registry; rejects with an {@link IssueError}. */
  async ensure(id: string, names: readonly string[]): Promise<void> {
    const { db, now } = this.#options;
    const issuer = await this.#options.issuer();
    await db.execute(
      `INSERT INTO onboarding_certificates (id, names, issuer) VALUES ($1, $2, $3)
       ON CONFLICT (id) DO UPDATE SET names = excluded.names, issuer = excluded.issuer, expires_at = NULL,
         renew_at = NULL, next_attempt_at = NULL
       WHERE onboarding_certificates.names <> excluded.names OR onboarding_certificates.issuer <> excluded.issuer`,
      [id, names, issuer.kind],
    );
    const deadline = performance.now() + leaseMs;
    for (;;) {
      const row = await this.#find(id);
      if (row?.expires_at && row.expires_at > now()) return;
      if (row?.next_attempt_at && row.next_attempt_at > now()) {
        throw new IssueError(
          row.failure_reason ?? 'not yet',
          row.next_attempt_at.getTime() - now().getTime(),
        );
      }
      const leased = await this.#lease(id);
      if (leased) return this.#issue(leased, issuer);
      // Somebody else is getting it.
      if (performance.now() > deadline) throw new IssueError('another instance has not got it in time', null);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  /** Renews what has passed two thirds of its lifetime. What fails stays in use and is tried again later. */
  async renewDue(): Promise<void> {
    const { db, now } = this.#options;
    const due = await db.query<{ id: string }>(
      `SELECT id FROM onboarding_certificates
       WHERE renew_at <= $1 AND (next_attempt_at IS NULL OR next_attempt_at <= $1)`,
      [now()],
    );
    for (const { id } of due) {
      const leased = await this.#lease(id);
      if (leased) await this.#issue(leased, await this.#options.issuer()).catch(() => {});
    }
  }

  async remove(id: string): Promise<void> {
    await this.#options.db.transaction(async (tx) => {
      await deleteTenantResource(tx, 'certificate', id);
      await tx.execute('DELETE FROM onboarding_certificates WHERE id = $1', [id]);
    });
  }

  async #find(id: string): Promise<CertificateRow | undefined> {
    const [row] = await this.#options.db.query<CertificateRow>(
      'SELECT * FROM onboarding_certificates WHERE id = $1',
      [id],
    );
    return row;
  }

  async #lease(id: string): Promise<CertificateRow | undefined> {
    const { db, owner, now } = this.#options;
    const [row] = await db.query<CertificateRow>(
      `UPDATE onboarding_certificates SET lease_owner = $2, lease_until = $4
       WHERE id = $1 AND (lease_until IS NULL OR lease_until <= $3)
         AND (next_attempt_at IS NULL OR next_attempt_at <= $3)
         AND (renew_at IS NULL OR renew_at <= $3) RETURNING *`,
      [id, owner, now(), new Date(now().getTime() + leaseMs)],
    );
    return row;
  }

  async #issue(row: CertificateRow, issuer: CertificateIssuer): Promise<void> {
    const { db, secrets, now, owner, onIssued, onFailed } = this.#options;
    const startedAt = performance.now();
    try {
      const issued = await issuer.issue(row.names);
      const leaf = new X509Certificate(issued.certificate);
      const [from, until] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
      const object: Certificate = {
        id: row.id,
        names: row.names,
        chain: issued.certificate,
        ...(await secrets.seal(row.id, issued.key)),
      };
      await db.transaction(async (tx) => {
        await putTenantResource(tx, 'certificate', object);
        await tx.execute(
          `UPDATE onboarding_certificates SET issued_at = $2, expires_at = $3, renew_at = $4, failures = 0,
             failure_reason = NULL, next_attempt_at = NULL, lease_owner = NULL, lease_until = NULL WHERE id = $1`,
          [row.id, now(), new Date(until), new Date(from + ((until - from) * 2) / 3)],
        );
      });
      onIssued(row.id, performance.now() - startedAt);
    } catch (error) {
      const asked = error instanceof IssueError ? error.retryAfterMs : null;
      const waitMs = Math.max(asked ?? 0, Math.min(firstBackoffMs * 2 ** row.failures, longestBackoffMs));
      const message = error instanceof Error ? error.message : String(error);
      await db.execute(
        `UPDATE onboarding_certificates SET failures = failures + 1, failure_reason = $3, next_attempt_at = $4,
           lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner = $2`,
        [row.id, owner, message, new Date(now().getTime() + waitMs)],
      );
      onFailed(row.id, error as Error);
      throw new IssueError(message, waitMs, error);
    }
  }
}
