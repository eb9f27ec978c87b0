import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, test } from 'node:test';
import { SMTPServer } from 'smtp-server';
import type { UsageEvent } from '#contract/usage.ts';
import { noticeBefore } from '../../../control-plane/alerts/date-rules.ts';
import { evaluateRules } from '../../../control-plane/alerts/feature.ts';
import { createMailer } from '../../../control-plane/alerts/mailer.ts';
import { makeNotices, nextDigestAt, sendNotices } from '../../../control-plane/alerts/notices.ts';
import type { Database } from '../../../control-plane/database/database.ts';
import { migrate } from '../../../control-plane/database/migrate.ts';
import { openPglite } from '../../../control-plane/database/pglite.ts';
import { Ingestor } from '../../../control-plane/usage/ingest.ts';
import { Partitions } from '../../../control-plane/usage/partitions.ts';
import { makeBatch, makeEvent } from '../../gateway/usage/events.ts';

interface Mail {
  readonly to: string[];
  readonly content: string;
}

/** A server that speaks SMTP over a socket and keeps what it takes. */
async function startSmtp() {
  const mails: Mail[] = [];
  const state = { refusing: false };
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo: (_address, _session, callback) =>
      callback(state.refusing ? Object.assign(new Error('try later'), { responseCode: 451 }) : null),
    onData(stream, session, callback) {
      let content = '';
      stream.setEncoding('utf8').on('data', (text: string) => {
        content += text;
      });
      stream.on('end', () => {
        mails.push({ to: session.envelope.rcptTo.map(({ address }) => address), content });
        callback();
      });
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as { port: number };
  const stop = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return { url: `smtp://127.0.0.1:${port}`, mails, state, stop };
}

const dayMs = 86_400_000;
const noon = Date.UTC(2025, 0, 15, 12);

describe('alerts', () => {
  let db: Database;
  let smtp: Awaited<ReturnType<typeof startSmtp>>;
  let mailer: ReturnType<typeof createMailer>;
  let now = noon;
  let sequence = 0;
  before(async () => {
    db = await openPglite(null);
    await migrate(db);
    smtp = await startSmtp();
    mailer = createMailer(smtp.url, 'Tollgate <noreply@example.com>', () => 'https://portal.example.com');
  });
  after(async () => {
    mailer.close();
    await smtp.stop();
    await db.close();
  });
  beforeEach(async () => {
    now = noon;
    smtp.state.refusing = false;
    smtp.mails.length = 0;
    for (const table of [
      ...['events', 'alert_marks', 'dev_accounts', 'resources', 'api_usage_rollups_day'],
      ...['api_usage_rollups_hour', 'api_usage_rollups_minute'],
    ]) {
      await db.execute(`DELETE FROM ${table}`);
    }
    await db.execute(`INSERT INTO dev_accounts (id, email, name) VALUES ('acc', 'ana@example.com', 'Ana')`);
    await db.execute(`INSERT INTO dev_apps (id, account_id, name) VALUES ('app', 'acc', 'Shop')`);
    await db.execute(
      `INSERT INTO dev_app_keys (key_id, app_id, kind, environment, expires_at) VALUES ('ak_live_1', 'app', 'api_key', 'live', $1)`,
      [new Date(noon + 90 * dayMs)],
    );
  });
  const evaluate = () => evaluateRules({ db, now: () => new Date(now), log: console as never });
  const told = async () =>
    (
      await db.query<{ type: string; account_id: string; payload: { data: Record<string, unknown> } }>(
        'SELECT type, account_id, payload FROM events ORDER BY created_at, type',
      )
    ).map(({ type, account_id, payload }) => ({ type, account_id, data: payload.data }));
  const deliver = async () => {
    await makeNotices(db, new Date(now), 'ops@example.com', 8);
    return await sendNotices(db, new Date(now), mailer.send);
  };
  const call = async (count: number, changes: Partial<UsageEvent>) => {
    const ingestor = new Ingestor({
      db,
      partitions: new Partitions(db, 30, () => noon),
      now: () => noon,
      maxBatchAgeDays: 35,
    });
    const event = makeEvent({
      appId: 'app',
      accountId: 'acc',
      keyId: 'ak_live_1',
      occurredAt: now - 90_000,
      ...changes,
    });
    await ingestor.ingest(
      [
        makeBatch(
          'alerts',
          ++sequence,
          Array.from({ length: count }, () => event),
        ),
      ],
      'test',
    );
  };

  test('a key is told to expire 30, 7 and 1 days before, once each', async () => {
    const days: unknown[] = [];
    for (const left of [91, 45, 29.9, 29, 8, 6.5, 6, 0.9, 0.5, -1]) {
      now = noon + (90 - left) * dayMs;
      await db.execute(`DELETE FROM events`);
      await evaluate();
      days.push(...(await told()).map(({ type, data }) => [left, type, data.days_left]));
    }
    assert.deepEqual(days, [
      [29.9, 'key.expiring', 30],
      [6.5, 'key.expiring', 7],
      [0.9, 'key.expiring', 1],
    ]);
  });

  test('quota thresholds are told once a period, the highest that is reached; beyond it is told too', async () => {
    await db.execute(`INSERT INTO api_key_quotas (key_id, daily_quota) VALUES ('ak_live_1', 100)`);
    const seen: unknown[] = [];
    for (const calls of [79, 1, 5, 5, 9, 1, 3]) {
      await call(calls, {});
      await evaluate();
      const events = await told();
      seen.push(...events.map(({ type, data }) => [type, data.percent ?? data.used]));
      await db.execute('DELETE FROM events');
    }
    assert.deepEqual(seen, [
      ['quota.threshold', 80],
      ['quota.threshold', 90],
      ['quota.threshold', 100],
      ['quota.exceeded', 103],
    ]);
  });

  test('an error rate above 5 % and a P95 above a second are told at most hourly, few calls never', async () => {
    await call(94, {});
    await call(6, { status: 500, latencyMs: 3000 });
    await evaluate();
    await evaluate();
    assert.deepEqual(
      (await told()).map(({ type, data }) => [type, data.error_rate ?? data.p95_ms]),
      [
        ['alert.error_rate', 0.06],
        ['alert.latency', (await told())[1]!.data.p95_ms],
      ],
    );
    assert.ok(Math.abs(((await told())[1]!.data.p95_ms as number) - 3000) <= 30);
    await db.execute('DELETE FROM events');
    await db.execute('DELETE FROM alert_marks');
    await db.execute('DELETE FROM api_usage_rollups_minute');
    await call(40, { status: 500, latencyMs: 3000 });
    await evaluate();
    assert.deepEqual(await told(), []);
  });

  test('5 % and a second exactly are no alert', async () => {
    await call(95, { latencyMs: 900 });
    await call(5, { status: 500, latencyMs: 900 });
    await evaluate();
    assert.deepEqual(await told(), []);
  });

  test('more than 100 failed authentications in a minute are told to the operator, and to the account of the key', async () => {
    await call(60, { status: 401, appId: null, accountId: null, keyId: null });
    await call(40, { status: 401 });
    await evaluate();
    const isAuthentication = ({ type }: { type: string }) => type === 'alert.authentication';
    assert.deepEqual((await told()).filter(isAuthentication), []);
    await call(1, { status: 401, appId: null, accountId: null, keyId: null });
    await evaluate();
    assert.deepEqual(
      (await told()).filter(isAuthentication).map(({ account_id, data }) => [account_id, data.failures]),
      [['operator', 101]],
    );
    await deliver();
    assert.deepEqual(
      smtp.mails.filter(({ content }) => /authentications/.test(content)).map(({ to }) => to),
      [['ops@example.com']],
    );
  });

  test('those who still call a version are told of its deprecation and 30, 7 and 1 days before its end', async () => {
    await db.execute(
      `INSERT INTO dev_accounts (id, email, name) VALUES ('gone', 'gone@example.com', 'Gone')`,
    );
    const version = {
      id: 'v1',
      state: 'deprecated',
      successor: 'v2',
      sunsetAt: new Date(noon + 40 * dayMs).toISOString(),
    };
    await db.execute(`INSERT INTO resources (kind, id, object) VALUES ('version', 'v1', $1)`, [
      JSON.stringify(version),
    ]);
    const days: unknown[] = [];
    for (const left of [40, 30, 20, 7, 1, 0]) {
      now = noon + (40 - left) * dayMs;
      await call(2, {});
      await evaluate();
      days.push(
        ...(await told())
          .filter(({ type }) => type.startsWith('version.'))
          .map(({ type, account_id, data }) => [left, type, account_id, data.days_left]),
      );
      await db.execute('DELETE FROM events');
    }
    assert.deepEqual(days, [
      [40, 'version.deprecated', 'acc', 0],
      [30, 'version.sunset', 'acc', 30],
      [7, 'version.sunset', 'acc', 7],
      [1, 'version.sunset', 'acc', 1],
    ]);
  });

  test('an alert comes by e-mail to the account', async () => {
    now = noon + 89.5 * dayMs;
    await evaluate();
    assert.equal(await deliver(), 1);
    assert.equal(await deliver(), 0);
    const [mail] = smtp.mails;
    assert.deepEqual(mail!.to, ['ana@example.com']);
    assert.match(mail!.content, /^From: Tollgate <noreply@example.com>/m);
    assert.match(mail!.content, /^Subject: Key ak_live_1 expires within a day/m);
    assert.match(mail!.content, /^Auto-Submitted: auto-generated/m);
    assert.match(mail!.content, /https:\/\/portal\.example\.com/);
  });

  test('e-mail that the server does not take is sent later', async () => {
    now = noon + 89.5 * dayMs;
    await evaluate();
    smtp.state.refusing = true;
    assert.equal(await deliver(), 0);
    now += 59_000;
    assert.equal(await deliver(), 0);
    smtp.state.refusing = false;
    now += 2000;
    assert.equal(await deliver(), 1);
    assert.equal(smtp.mails.length, 1);
  });

  test('an account chooses a digest, another address, silence, or to mute a type', async () => {
    const prefer = (email: string, address: string | null = null, muted: string[] = []) =>
      db.execute(
        `INSERT INTO notice_preferences (account_id, email, address, muted_types) VALUES ('acc', $1, $2, $3)
         ON CONFLICT (account_id) DO UPDATE SET email = $1, address = $2, muted_types = $3`,
        [email, address, muted],
      );
    await db.execute(
      `INSERT INTO dev_app_keys (key_id, app_id, kind, environment, expires_at) VALUES ('ak_live_2', 'app', 'api_key', 'live', $1)`,
      [new Date(noon + 90 * dayMs)],
    );
    const occasions = [60.5, 83.5, 89.5];
    await prefer('digest', 'team@example.com');
    now = noon + occasions[0]! * dayMs;
    await evaluate();
    assert.equal(await deliver(), 0);
    now = nextDigestAt(new Date(now), 8).getTime();
    assert.equal(await deliver(), 1);
    assert.deepEqual(smtp.mails[0]!.to, ['team@example.com']);
    assert.match(smtp.mails[0]!.content, /^Subject: 2 notices about your apps/m);
    assert.match(smtp.mails[0]!.content, /ak_live_1[\s\S]*ak_live_2/);

    await prefer('off');
    now = noon + occasions[1]! * dayMs;
    await evaluate();
    assert.equal(await deliver(), 0);
    await prefer('immediate', null, ['key.expiring']);
    now = noon + occasions[2]! * dayMs;
    await evaluate();
    assert.equal(await deliver(), 0);
    assert.equal(smtp.mails.length, 1);
  });

  test('notices before a date: the nearest of 30, 7 and 1 days', () => {
    assert.deepEqual(
      [31, 30, 8, 7, 2, 1, 0.1, 0, -1].map((days) => noticeBefore(noon + days * dayMs, noon)),
      [null, 30, 30, 7, 7, 1, 1, null, null],
    );
  });
});
