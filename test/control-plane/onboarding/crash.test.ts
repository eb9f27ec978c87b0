import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, test } from 'node:test';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { AuditLog, systemOrigin } from '../../../control-plane/audit/record.ts';
import type { Context } from '../../../control-plane/context.ts';
import type { Database } from '../../../control-plane/database/database.ts';
import { openDatabase } from '../../../control-plane/database/open.ts';
import { IssueError } from '../../../control-plane/onboarding/certificates/issuer.ts';
import { makeIssuer } from '../../../control-plane/onboarding/certificates/make-issuer.ts';
import { CertificateStore } from '../../../control-plane/onboarding/certificates/store.ts';
import { makeDnsProvider } from '../../../control-plane/onboarding/dns/make-provider.ts';
import { DnsError, type DnsProvider } from '../../../control-plane/onboarding/dns/provider.ts';
import { measureOnboardings } from '../../../control-plane/onboarding/events.ts';
import {
  Provisioning,
  ProvisioningFailed,
  SimulatedCrash,
  type Step,
  steps,
} from '../../../control-plane/onboarding/provisioning.ts';
import {
  findOnboarding,
  insertApplication,
  type OnboardingRow,
} from '../../../control-plane/onboarding/queries.ts';
import { decideOnboarding } from '../../../control-plane/onboarding/settings.ts';
import { startOnboarding } from '../../../control-plane/onboarding/starting.ts';
import { openLocalProvider } from '../../../control-plane/secrets/local-provider.ts';
import { SecretBox } from '../../../control-plane/secrets/secret-box.ts';
import { startBind, type TestBind } from '../../support/bind.ts';
import { type TestPostgres, usePostgres } from '../../support/postgres.ts';

const zone = 'akasigroup.test';
const origin = systemOrigin('test');
const application = { id: 'app_test', name: 'SIH', account_id: null };
const onboarding = decideOnboarding({
  baseDomain: zone,
  targets: ['192.0.2.1'],
  route: { service: 'portal' },
});

let bind: TestBind;
let postgres: TestPostgres;
let db: Database;
let context: Context;
let now: Date;
let dnsIsDown: boolean;
let issuerIsDown: boolean;
let dns: DnsProvider;

before(async () => {
  [bind, postgres] = await Promise.all([startBind({ [zone]: '' }), usePostgres()]);
  db = await openDatabase({ databaseUrl: await postgres.createDatabase() });
  await insertApplication(db, { ...application, masterKeyDigest: 'none' });
  const real = makeDnsProvider(
    {
      provider: 'rfc2136',
      host: '127.0.0.1',
      port: bind.port,
      keyName: bind.keyName,
      keySecret: bind.keySecret.toString('base64'),
    },
    zone,
  );
  const reach = <T>(work: () => Promise<T>): Promise<T> =>
    dnsIsDown ? Promise.reject(new DnsError('the zone cannot be reached', true)) : work();
  dns = {
    kind: real.kind,
    point: (name, records) => reach(() => real.point(name, records)),
    unpoint: (name) => reach(() => real.unpoint(name)),
    addText: (name, value) => reach(() => real.addText(name, value)),
    removeText: (name, value) => reach(() => real.removeText(name, value)),
  };
});
after(async () => {
  await db.close();
  await Promise.all([bind.stop(), postgres.stop()]);
});

beforeEach(async () => {
  now = new Date('2026-02-07T10:30:00Z');
  dnsIsDown = false;
  issuerIsDown = false;
  await db.script(
    'DELETE FROM onboarding_certificates; DELETE FROM tenant_resources; DELETE FROM onboardings;',
  );
  context = {
    db,
    audit: new AuditLog(),
    secrets: new SecretBox(db, [openLocalProvider(rootKey)]),
    now: () => now,
    log: pino({ level: 'silent' }),
  } as unknown as Context;
});
const rootKey = randomBytes(32);

/** A process of its own, as far as leases are concerned. */
function makeProcess(owner: string, beforeStep?: (step: Step) => void | Promise<void>): Provisioning {
  const certificates = new CertificateStore({
    db,
    secrets: context.secrets,
    issuer: async () => {
      const issuer = await makeIssuer({ db, secrets: context.secrets, dns, onboarding, now: () => now });
      return {
        kind: issuer.kind,
        issue: (names) =>
          issuerIsDown
            ? Promise.reject(new IssueError('the authority is away', 120_000))
            : issuer.issue(names),
      };
    },
    owner,
    now: () => now,
    onIssued: () => {},
    onFailed: () => {},
  });
  const events = measureOnboardings(new Registry(), db);
  return new Provisioning({
    context,
    onboarding,
    dns,
    certificates,
    events,
    owner,
    ...(beforeStep ? { beforeStep } : {}),
  });
}

async function start(): Promise<OnboardingRow> {
  return startOnboarding(context, origin, application, {
    email: 'admin@example.com',
    organizationName: 'Clinique du Lac',
    customDomain: null,
  });
}

async function read(uuid: string): Promise<OnboardingRow> {
  return (await findOnboarding(db, application.id, uuid))!;
}

async function countKeys(name: string): Promise<number> {
  const [row] = await db.query<{ n: number }>('SELECT count(*)::int AS n FROM dev_app_keys WHERE name = $1', [
    name,
  ]);
  return row!.n;
}

function advance(milliseconds: number): void {
  now = new Date(now.getTime() + milliseconds);
}

for (const crashing of steps) {
  test(`a process that dies before ${crashing}: the next call goes on and gives the key, made once`, async () => {
    const row = await start();
    const keysBefore = await countKeys(row.subdomain);
    const dying = makeProcess('first', (step) => {
      if (step === crashing) throw new SimulatedCrash();
    });
    const leased = (await dying.begin(row.uuid, true))!;
    await assert.rejects(dying.run(leased, origin, true), SimulatedCrash);
    const second = makeProcess('second');
    assert.equal(await second.begin(row.uuid, true), undefined, 'the lease still stands');
    advance(60_001);
    const credentials = await second.run((await second.begin(row.uuid, true))!, origin, true);
    assert.match(credentials!.api_secret, /^sk_live_/);
    const done = await read(row.uuid);
    assert.deepEqual(
      [done.status, done.attempts, done.dns_configured, done.ssl_configured, done.route_configured],
      ['activated', 2, true, true, true],
    );
    assert.equal((await countKeys(row.subdomain)) - keysBefore, 1);
    assert.deepEqual(await bind.dig(`${row.subdomain}.${zone}`, 'A'), ['192.0.2.1']);
  });

  test(`a process that dies before ${crashing}: the sweep of another goes on, up to a wanted key`, async () => {
    for (const wantsKey of [false, true]) {
      const row = await start();
      const dying = makeProcess('first', (step) => {
        if (step === crashing) throw new SimulatedCrash();
      });
      await assert.rejects(dying.run((await dying.begin(row.uuid, wantsKey))!, origin, true), SimulatedCrash);
      const second = makeProcess('second');
      await second.sweep();
      assert.equal((await read(row.uuid)).status, 'provisioning', 'the lease still stands');
      advance(60_001);
      await second.sweep();
      const swept = await read(row.uuid);
      assert.equal(swept.route_configured, true);
      assert.equal(swept.status, wantsKey ? 'provisioning' : 'activated');
      if (!wantsKey) continue;
      const credentials = await second.run((await second.begin(row.uuid, true))!, origin, true);
      assert.ok(credentials?.api_secret);
    }
  });
}

test('a process that was taken for dead and wakes up makes no second key', async () => {
  const row = await start();
  const second = makeProcess('second');
  let credentials: unknown = null;
  const slow = makeProcess('first', async (step) => {
    if (step !== 'activate') return;
    advance(60_001);
    credentials = await second.run((await second.begin(row.uuid, true))!, origin, true);
  });
  const before = await countKeys(row.subdomain);
  await assert.rejects(slow.run((await slow.begin(row.uuid, true))!, origin, true));
  assert.ok(credentials);
  assert.equal((await countKeys(row.subdomain)) - before, 1);
  assert.equal((await read(row.uuid)).status, 'activated');
});

test('when the certificate cannot be had, the records are taken back, and a later call succeeds', async () => {
  const row = await start();
  const only = makeProcess('only');
  issuerIsDown = true;
  await assert.rejects(only.run((await only.begin(row.uuid, true))!, origin, true), (error: unknown) => {
    assert.ok(error instanceof ProvisioningFailed);
    assert.match(error.message, /^certificate: the authority is away$/);
    assert.ok(error.retryAfterMs >= 120_000, 'the authority said when');
    return true;
  });
  const failed = await read(row.uuid);
  assert.deepEqual(
    [failed.status, failed.dns_configured, failed.ssl_configured, failed.failure_reason],
    ['failed', false, false, 'certificate: the authority is away'],
  );
  assert.deepEqual(await bind.dig(`${row.subdomain}.${zone}`, 'A'), []);
  issuerIsDown = false;
  advance(121_000);
  await only.run((await only.begin(row.uuid, true))!, origin, true);
  assert.equal((await read(row.uuid)).status, 'activated');
});

test('what could not be taken back is taken back by the sweep', async () => {
  const row = await start();
  const only = makeProcess('only', (step) => {
    if (step === 'certificate') dnsIsDown = true;
  });
  issuerIsDown = true;
  await assert.rejects(only.run((await only.begin(row.uuid, false))!, origin, true), ProvisioningFailed);
  assert.equal((await read(row.uuid)).dns_configured, true);
  assert.deepEqual(await bind.dig(`${row.subdomain}.${zone}`, 'A'), ['192.0.2.1']);
  dnsIsDown = false;
  advance(3_600_000);
  await only.sweep();
  assert.equal((await read(row.uuid)).dns_configured, false);
  assert.deepEqual(await bind.dig(`${row.subdomain}.${zone}`, 'A'), []);
});

test('a removal while the zone is away forgets the person at once and the records later', async () => {
  const row = await start();
  const only = makeProcess('only');
  await only.run((await only.begin(row.uuid, true))!, origin, true);
  dnsIsDown = true;
  assert.equal(await only.remove(await read(row.uuid), origin), true);
  assert.equal(await findOnboarding(db, application.id, row.uuid), undefined);
  const [left] = await db.query<{ email: string; organization_name: string }>(
    'SELECT email, organization_name FROM onboardings WHERE uuid = $1',
    [row.uuid],
  );
  assert.deepEqual(left, { email: '', organization_name: '' });
  dnsIsDown = false;
  advance(60_001);
  await only.sweep();
  assert.deepEqual(await db.query('SELECT 1 FROM onboardings WHERE uuid = $1', [row.uuid]), []);
  assert.deepEqual(await bind.dig(`${row.subdomain}.${zone}`, 'A'), []);
});

test('a certificate is renewed at two thirds of its lifetime, and stays in use when that fails', async () => {
  const row = await start();
  const owner = 'only';
  const only = makeProcess(owner);
  await only.run((await only.begin(row.uuid, false))!, origin, true);
  const read = async () => {
    const [found] = await db.query<{ chain: string; failures: number }>(
      `SELECT t.object->>'chain' AS chain, c.failures FROM tenant_resources t JOIN onboarding_certificates c USING (id)
       WHERE t.kind = 'certificate'`,
    );
    return found!;
  };
  const renewing = new CertificateStore({
    db,
    secrets: context.secrets,
    issuer: async () => {
      const issuer = await makeIssuer({ db, secrets: context.secrets, dns, onboarding, now: () => now });
      return issuerIsDown
        ? { kind: issuer.kind, issue: () => Promise.reject(new IssueError('away', null)) }
        : issuer;
    },
    owner,
    now: () => now,
    onIssued: () => {},
    onFailed: () => {},
  });
  const first = await read();
  advance(59 * 86_400_000);
  await renewing.renewDue();
  assert.equal((await read()).chain, first.chain, 'not before two thirds of 91 days');
  advance(2 * 86_400_000);
  issuerIsDown = true;
  await renewing.renewDue();
  assert.deepEqual(await read(), { chain: first.chain, failures: 1 });
  issuerIsDown = false;
  await renewing.renewDue();
  assert.equal((await read()).chain, first.chain, 'within the backoff nothing is ordered');
  advance(61_000);
  await renewing.renewDue();
  const renewed = await read();
  assert.notEqual(renewed.chain, first.chain);
  assert.equal(renewed.failures, 0);
});
