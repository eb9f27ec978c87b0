import { randomBytes } from 'node:crypto';
import { mintKeyId } from '#contract/keys.ts';
import { type AuditOrigin, systemOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { insertKey } from '../keys/queries.ts';
import { makeSecret } from '../keys/rules.ts';
import type { EventType } from '../webhooks/event-types.ts';
import { publishEvent } from '../webhooks/publish.ts';
import { IssueError } from './certificates/issuer.ts';
import type { CertificateStore } from './certificates/store.ts';
import { recordsFor } from './dns/make-provider.ts';
import { DnsError, type DnsProvider } from './dns/provider.ts';
import type { OnboardingEvents } from './events.ts';
import {
  changeOnboarding,
  deleteOnboarding,
  deleteTenantResource,
  findAccountOf,
  leaseOnboarding,
  listAbandoned,
  type OnboardingChange,
  type OnboardingRow,
  putTenantResource,
} from './queries.ts';
import { fullDomain, type Onboarding } from './settings.ts';

/** The steps of provisioning, in order. Each may be repeated, and each is undone when a later one fails. */
export const steps = ['dns', 'certificate', 'route', 'activate'] as const;
const infrastructureSteps = ['dns', 'certificate', 'route'] as const;
export type Step = (typeof steps)[number];

export interface ProvisioningOptions {
  readonly context: Context;
  readonly onboarding: Onboarding;
  readonly dns: DnsProvider;
  readonly certificates: CertificateStore;
  readonly events: OnboardingEvents;
  /** This process, as the holder of leases. */
  readonly owner: string;
  /** Called before each step; what it throws is taken for a crash: nothing is undone or recorded. For tests. */
  readonly beforeStep?: (step: Step, uuid: string) => void | Promise<void>;
}

export interface IssuedCredentials {
  readonly api_key: string;
  readonly api_secret: string;
}

/** Provisioning did not come to its end. */
export class ProvisioningFailed extends Error {
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Somebody else has taken the lease over; what this one did is the other's to finish. */
class LeaseLost extends Error {}

export const wildcardId = 'onboarding-wildcard';
const leaseMs = 60_000;
const firstBackoffMs = 10_000;
const longestBackoffMs = 3_600_000;

/** Takes onboardings from step to step. All state is in the database; a process may end at any point. */
export class Provisioning {
  readonly #options: ProvisioningOptions;

  constructor(options: ProvisioningOptions) {
    this.#options = options;
  }

  /** Takes the lease in order to provision; undefined when somebody else is at it or the status has moved on. */
  async begin(uuid: string, wantsKey: boolean): Promise<OnboardingRow | undefined> {
    const { context, owner } = this.#options;
    const now = context.now();
    const until = new Date(now.getTime() + leaseMs);
    const row = await leaseOnboarding(
      context.db,
      uuid,
      owner,
      ['pending', 'failed', 'provisioning'],
      now,
      until,
    );
    if (!row || !wantsKey || row.wants_api_key) return row;
    await context.db.execute('UPDATE onboardings SET wants_api_key = true WHERE uuid = $1', [uuid]);
    return { ...row, wants_api_key: true };
  }

  /**
   * Provisions an onboarding whose lease is held. `withKey`: make a key when one is wanted, for a caller that can be
   * given its secret; without such a caller a wanted key is left for the next call.
   */
  async run(row: OnboardingRow, origin: AuditOrigin, withKey: boolean): Promise<IssuedCredentials | null> {
    const { context, owner } = this.#options;
    const renewal = setInterval(() => void this.#renewLease(row.uuid), leaseMs / 3);
    let step: Step = 'dns';
    try {
      await this.#change(row.uuid, { status: 'provisioning', failure_reason: null });
      await context.db.execute('UPDATE onboardings SET attempts = attempts + 1 WHERE uuid = $1', [row.uuid]);
      for (const next of infrastructureSteps) {
        step = next;
        await this.#perform(next, row);
      }
      step = 'activate';
      if (row.wants_api_key && !withKey) {
        await this.#change(row.uuid, { lease_owner: null, lease_until: null });
        return null;
      }
      return await this.#activate(row, origin);
    } catch (error) {
      if (error instanceof LeaseLost || isCrash(error)) throw error;
      throw await this.#fail(row, step, error as Error, owner);
    } finally {
      clearInterval(renewal);
    }
  }

  async #perform(step: Exclude<Step, 'activate'>, row: OnboardingRow): Promise<void> {
    await this.#options.beforeStep?.(step, row.uuid);
    const startedAt = performance.now();
    const done = await this.#work(step, row);
    await this.#change(row.uuid, done);
    this.#options.events.onStep(step, performance.now() - startedAt);
  }

  async #work(step: Exclude<Step, 'activate'>, row: OnboardingRow): Promise<OnboardingChange> {
    const { dns, onboarding, certificates, context } = this.#options;
    switch (step) {
      case 'dns':
        await dns.point(fullDomain(onboarding, row.subdomain), recordsFor(onboarding.targets));
        return { dns_configured: true };
      case 'certificate': {
        const { baseDomain } = onboarding;
        await certificates.ensure(wildcardId, [`*.${baseDomain}`, baseDomain]);
        if (row.custom_domain) await certificates.ensure(certificateId(row.uuid), [row.custom_domain]);
        return { ssl_configured: true };
      }
      case 'route': {
        const route = this.#routeOf(row);
        if (route) await context.db.transaction((tx) => putTenantResource(tx, 'route', route));
        return { route_configured: true };
      }
    }
  }

  /** The tenant's route at the gateway; null when no service is configured to serve tenants. */
  #routeOf(row: OnboardingRow) {
    const { onboarding } = this.#options;
    const { service, path = '/', ...rest } = onboarding.route;
    if (service === undefined) return null;
    const hosts = [fullDomain(onboarding, row.subdomain), ...(row.custom_domain ? [row.custom_domain] : [])];
    return { ...rest, id: routeId(row.uuid), service, path, hosts };
  }

  /** The last step, one transaction: the key, if one is wanted, and the status come together. */
  async #activate(row: OnboardingRow, origin: AuditOrigin): Promise<IssuedCredentials | null> {
    const { context, events, owner, beforeStep } = this.#options;
    await beforeStep?.('activate', row.uuid);
    const startedAt = performance.now();
    const keyId = row.wants_api_key ? mintKeyId('live', randomBytes(16)) : null;
    const made = keyId === null ? null : await makeSecret(context.secrets, keyId, 'api_key', 'live');
    await context.db.transaction(async (tx) => {
      const now = context.now();
      if (keyId !== null && made) {
        await insertKey(tx, {
          key_id: keyId,
          app_id: null,
          kind: 'api_key',
          environment: 'live',
          name: row.subdomain,
          secrets: [made.stored],
        });
      }
      const changed = await changeOnboarding(
        tx,
        row.uuid,
        {
          status: 'activated',
          failures: 0,
          failure_reason: null,
          next_attempt_at: null,
          lease_owner: null,
          lease_until: null,
          ...(keyId === null ? {} : { key_id: keyId, api_key_generated: true }),
        },
        now,
        owner,
      );
      if (!changed) throw new LeaseLost();
      await publish(tx, 'onboarding.provisioned', row);
      await context.audit.record(tx, origin, {
        action: 'onboarding.activate',
        target: {
          onboarding: row.uuid,
          application: row.application_id,
          ...(keyId ? { key_id: keyId } : {}),
        },
        after: { subdomain: row.subdomain },
      });
    });
    events.onStep('activate', performance.now() - startedAt);
    return keyId !== null && made ? { api_key: keyId, api_secret: made.secret } : null;
  }

  /** Undoes what the attempt has set up, and records when the next one may be made. */
  async #fail(row: OnboardingRow, step: Step, error: Error, owner: string): Promise<ProvisioningFailed> {
    const { context, events } = this.#options;
    const asked = error instanceof IssueError ? (error.retryAfterMs ?? 0) : 0;
    const backoffMs = Math.min(firstBackoffMs * 2 ** row.failures, longestBackoffMs);
    const retryAfterMs = Math.max(asked, backoffMs);
    const known = error instanceof DnsError || error instanceof IssueError;
    const reason = known ? error.message : 'internal error';
    if (!known) context.log.error({ err: error, onboarding: row.uuid, step }, 'provisioning failed');
    const undone = await this.#undo(row);
    const now = context.now();
    await context.db.transaction(async (tx) => {
      await changeOnboarding(
        tx,
        row.uuid,
        {
          ...undone,
          status: 'failed',
          failures: row.failures + 1,
          failure_reason: `${step}: ${reason}`,
          next_attempt_at: new Date(now.getTime() + retryAfterMs),
          lease_owner: null,
          lease_until: null,
        },
        now,
        owner,
      );
      await publish(tx, 'onboarding.failed', row, { step, reason });
      await context.audit.record(tx, systemOrigin('onboarding'), {
        action: 'onboarding.fail',
        target: { onboarding: row.uuid, application: row.application_id },
        after: { step, reason },
      });
    });
    events.onFailure(step);
    return new ProvisioningFailed(`${step}: ${reason}`, retryAfterMs);
  }

  /** Takes back the route and the records. What cannot be taken back now stays marked, for the sweep. */
  async #undo(row: OnboardingRow): Promise<OnboardingChange> {
    const { context, dns, onboarding } = this.#options;
    const change: OnboardingChange = { ssl_configured: false };
    try {
      await deleteTenantResource(context.db, 'route', routeId(row.uuid));
      Object.assign(change, { route_configured: false });
      await dns.unpoint(fullDomain(onboarding, row.subdomain));
      Object.assign(change, { dns_configured: false });
    } catch (error) {
      context.log.warn({ err: error, onboarding: row.uuid }, 'could not take everything back yet');
      Object.assign(change, { dns_configured: true });
    }
    return change;
  }

  /**
   * Removes an onboarding: its personal data, key and route at once, its records as soon as the zone can be changed.
   * False when it is being provisioned.
   */
  async remove(row: OnboardingRow, origin: AuditOrigin): Promise<boolean> {
    const { context, owner } = this.#options;
    const removed = await context.db.transaction(async (tx) => {
      const now = context.now();
      const until = new Date(now.getTime() + leaseMs);
      const from = ['pending', 'provisioning', 'activated', 'completed', 'failed'] as const;
      if (!(await leaseOnboarding(tx, row.uuid, owner, from, now, until))) return false;
      await changeOnboarding(
        tx,
        row.uuid,
        {
          status: 'deleting',
          email: '',
          organization_name: '',
          tenant_id: null,
          completion: null,
          failure_reason: null,
          next_attempt_at: null,
        },
        now,
      );
      await deleteTenantResource(tx, 'route', routeId(row.uuid));
      if (row.key_id) await tx.execute('DELETE FROM dev_app_keys WHERE key_id = $1', [row.key_id]);
      await tx.execute('DELETE FROM onboarding_limits WHERE subject = $1', [`provision:${row.uuid}`]);
      await context.audit.record(tx, origin, {
        action: 'onboarding.delete',
        target: { onboarding: row.uuid, application: row.application_id },
      });
      return true;
    });
    if (!removed) return false;
    await this.#finishRemoval(row).catch((error: unknown) => {
      context.log.warn({ err: error, onboarding: row.uuid }, 'records are removed later');
    });
    return true;
  }

  async #finishRemoval(row: OnboardingRow): Promise<void> {
    const { context, dns, onboarding, certificates } = this.#options;
    try {
      await dns.unpoint(fullDomain(onboarding, row.subdomain));
      if (row.custom_domain) await certificates.remove(certificateId(row.uuid));
      await deleteOnboarding(context.db, row.uuid);
    } catch (error) {
      const now = context.now();
      const retryAt = new Date(now.getTime() + firstBackoffMs);
      await changeOnboarding(
        context.db,
        row.uuid,
        { lease_owner: null, lease_until: null, next_attempt_at: retryAt },
        now,
      );
      throw error;
    }
  }

  /** Goes on with what others left: provisioning that was cut short, and removals that are not complete. */
  async sweep(): Promise<void> {
    const { context, owner } = this.#options;
    for (const found of await listAbandoned(context.db, context.now(), 20)) {
      const now = context.now();
      const row = await leaseOnboarding(
        context.db,
        found.uuid,
        owner,
        [found.status],
        now,
        new Date(now.getTime() + leaseMs),
      );
      if (!row) continue;
      try {
        if (row.status === 'provisioning') await this.run(row, systemOrigin('onboarding'), false);
        else if (row.status === 'deleting') await this.#finishRemoval(row);
        else {
          const undone = await this.#undo(row);
          const retryAt = new Date(now.getTime() + firstBackoffMs);
          await changeOnboarding(
            context.db,
            row.uuid,
            {
              ...undone,
              lease_owner: null,
              lease_until: null,
              next_attempt_at: row.next_attempt_at ?? retryAt,
            },
            now,
            owner,
          );
        }
      } catch (error) {
        context.log.warn({ err: error, onboarding: row.uuid }, 'onboarding is tried again later');
      }
    }
  }

  async #change(uuid: string, change: OnboardingChange): Promise<void> {
    const { context, owner } = this.#options;
    if (!(await changeOnboarding(context.db, uuid, change, context.now(), owner))) throw new LeaseLost();
  }

  async #renewLease(uuid: string): Promise<void> {
    const { context, owner } = this.#options;
    const until = new Date(context.now().getTime() + leaseMs);
    await changeOnboarding(context.db, uuid, { lease_until: until }, context.now(), owner).catch(() => {});
  }
}

/** Tells the application's account, if it has one. */
export async function publish(
  tx: Queryable,
  type: Extract<EventType, `onboarding.${string}`>,
  row: Pick<OnboardingRow, 'uuid' | 'application_id' | 'subdomain'>,
  more: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const accountId = await findAccountOf(tx, row.application_id);
  if (accountId === null) return;
  const payload = { uuid: row.uuid, app_id: row.application_id, subdomain: row.subdomain, ...more };
  await publishEvent(tx, { type, accountId, payload });
}

export function routeId(uuid: string): string {
  return `tenant-${uuid}`;
}

export function certificateId(uuid: string): string {
  return `tenant-${uuid}`;
}

/** What `beforeStep` throws in tests that end a process in the middle. */
export class SimulatedCrash extends Error {}

function isCrash(error: unknown): boolean {
  return error instanceof SimulatedCrash;
}
