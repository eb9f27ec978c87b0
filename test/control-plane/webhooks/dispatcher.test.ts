import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Context } from '../../../control-plane/context.ts';
import type { Database } from '../../../control-plane/database/database.ts';
import { migrate } from '../../../control-plane/database/migrate.ts';
import { openPglite } from '../../../control-plane/database/pglite.ts';
import { createAttempts } from '../../../control-plane/webhooks/attempt.ts';
import { Dispatcher } from '../../../control-plane/webhooks/dispatcher.ts';
import { publishEvent } from '../../../control-plane/webhooks/publish.ts';
import { nextDelayMs, parseRetryAfter, retryDelaysMs } from '../../../control-plane/webhooks/schedule.ts';
import { eventually } from '../../support/processes.ts';
import { type HookReceiver, startHookReceiver } from './hook-receiver.ts';

const networks = ['127.0.0.1'];
let db: Database;
let receiver: HookReceiver;
let now: number;
let dispatcher: Dispatcher;
const attempts = createAttempts(networks, 30_000, () => new Date(now));
const impatient = createAttempts(networks, 200, () => new Date(now));

before(async () => {
  db = await openPglite(null);
  await migrate(db);
  await db.execute(`INSERT INTO dev_accounts (id, email, name) VALUES ('acc', 'a@example.com', 'A')`);
  receiver = await startHookReceiver();
});
after(async () => {
  await dispatcher.stop();
  await receiver.stop();
  await attempts.close();
  await impatient.close();
  await db.close();
});

/** A dispatcher whose clock stands until a test moves it. */
function startDispatcher({ attempt } = attempts): Dispatcher {
  const secrets = { open: async () => 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' };
  const log = { error: () => {} };
  return new Dispatcher({ db, secrets, log } as unknown as Context, {
    attempt,
    timeoutMs: 500,
    now: () => new Date(now),
    pollMs: 5,
  });
}

beforeEach(async () => {
  await dispatcher?.stop();
  await db.execute('DELETE FROM webhook_endpoints');
  await db.execute('DELETE FROM events');
  await db.execute(
    `INSERT INTO webhook_endpoints (id, account_id, url, secrets) VALUES ('whe', 'acc', $1, '[{"dataKey":"d","box":"b"}]')`,
    [receiver.url],
  );
  receiver.received.length = 0;
  receiver.answer(204);
  // Ahead of the database's clock for as long as a test takes, so that what is published is due.
  now = Date.now() + 50_000;
  dispatcher = startDispatcher();
});

const publish = () =>
  db.transaction((tx) =>
    publishEvent(tx, { type: 'key.created', accountId: 'acc', payload: { key_id: 'ak_test_1' } }),
  );
type Row = { status: string; attempts: number; next_attempt_at: Date | null };
const delivery = async (): Promise<Row> => (await db.query<Row>('SELECT * FROM webhook_deliveries'))[0]!;
const endpoint = async () =>
  (await db.query<{ status: string; disabled_reason: string | null }>('SELECT * FROM webhook_endpoints'))[0]!;
const afterAttempts = (count: number) =>
  eventually(async () => {
    const row = await delivery();
    assert.equal(row.attempts, count);
    return row;
  });

test('an event is told if and only if its transaction commits', async () => {
  await assert.rejects(
    db.transaction(async (tx) => {
      await publishEvent(tx, { type: 'key.created', accountId: 'acc', payload: {} });
      throw new Error('rolled back');
    }),
  );
  await publish();
  await eventually(() => assert.equal(receiver.received.length, 1));
  assert.equal((await db.query('SELECT 1 FROM webhook_deliveries')).length, 1);
});

test('failed attempts are repeated on the schedule, ten in all, and then the endpoint is disabled with a notice', async () => {
  receiver.answer(500);
  await publish();
  for (let attempts = 1; attempts <= 9; attempts++) {
    const row = await afterAttempts(attempts);
    const delay = row.next_attempt_at!.getTime() - now;
    const planned = retryDelaysMs[attempts - 1]!;
    assert.ok(delay >= planned && delay <= planned * 1.2, `${attempts}: ${delay} for ${planned}`);
    now = row.next_attempt_at!.getTime() - 1;
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(receiver.received.length, attempts);
    now += 1;
  }
  const last = await afterAttempts(10);
  assert.equal(last.status, 'failed');
  assert.equal((await endpoint()).status, 'disabled');
  assert.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 1);
  const notices = await db.query<{ type: string }>(`SELECT type FROM events WHERE type = 'webhook.disabled'`);
  assert.equal(notices.length, 1);
});

test('an endpoint that took something meanwhile is not disabled when one delivery is given up', async () => {
  receiver.answer(500);
  await publish();
  await afterAttempts(1);
  await db.execute('UPDATE webhook_deliveries SET attempts = 9');
  await db.execute('UPDATE webhook_endpoints SET failing_since = $1', [new Date(now + 3_600_000)]);
  now += 2 * 86_400_000;
  const row = await afterAttempts(10);
  assert.equal(row.status, 'failed');
  assert.equal((await endpoint()).status, 'enabled');
});

test('a redirect is a failure and is not followed', async () => {
  receiver.answer(302, { location: receiver.url });
  await publish();
  const row = await afterAttempts(1);
  assert.equal(row.status, 'pending');
  assert.equal(receiver.received.length, 1);
});

test('silence and a closed port are failures with their cause in the log', async () => {
  receiver.answer(null);
  await dispatcher.stop();
  dispatcher = startDispatcher(impatient);
  await publish();
  await afterAttempts(1);
  await db.execute(`UPDATE webhook_endpoints SET url = 'http://127.0.0.1:1/'`);
  now += 10_000;
  await afterAttempts(2);
  const log = await db.query<{ status_code: number | null; error: string }>(
    'SELECT * FROM webhook_attempts ORDER BY id',
  );
  assert.match(log.at(-2)!.error, /no answer|Timeout/i);
  assert.match(log.at(-1)!.error, /ECONNREFUSED/);
});

test('an endpoint that came to lie inside is not connected to', async () => {
  await db.execute(`UPDATE webhook_endpoints SET url = 'http://169.254.169.254/'`);
  await publish();
  await afterAttempts(1);
  const [entry] = await db.query<{ error: string }>(
    'SELECT error FROM webhook_attempts ORDER BY id DESC LIMIT 1',
  );
  assert.match(entry!.error, /may not be connected to/);
});

test('Retry-After is honoured when it asks for more', async () => {
  receiver.answer(503, { 'retry-after': '3600' });
  await publish();
  const row = await afterAttempts(1);
  assert.ok(row.next_attempt_at!.getTime() - now >= 3_600_000);
});

test('410 ends the delivery and all others of the endpoint', async () => {
  receiver.answer(410);
  await publish();
  await eventually(async () => assert.equal((await endpoint()).status, 'disabled'));
  assert.equal((await delivery()).status, 'failed');
});

test('what a process that died had taken is due again after its lease', async () => {
  await publish();
  await afterAttempts(1);
  await db.execute(`UPDATE webhook_deliveries SET status = 'pending', next_attempt_at = $1`, [
    new Date(now + 60_500),
  ]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(receiver.received.length, 1);
  now += 60_500;
  await afterAttempts(2);
  assert.equal(receiver.received.length, 2);
});

test('two dispatchers do not send the same delivery', async () => {
  const second = startDispatcher();
  for (let i = 0; i < 20; i++) await publish();
  await eventually(async () => {
    const rows = await db.query(`SELECT 1 FROM webhook_deliveries WHERE status = 'delivered'`);
    assert.equal(rows.length, 20);
  });
  await second.stop();
  assert.equal(receiver.received.length, 20);
});

test('delays have jitter of up to a fifth and end after the ninth; Retry-After is capped at a day', () => {
  assert.equal(
    nextDelayMs(1, null, retryDelaysMs, () => 0),
    5000,
  );
  assert.equal(
    nextDelayMs(1, null, retryDelaysMs, () => 1),
    6000,
  );
  assert.equal(nextDelayMs(10, null), null);
  assert.equal(
    nextDelayMs(1, 1e12, retryDelaysMs, () => 0),
    86_400_000,
  );
  assert.equal(parseRetryAfter('120', 0), 120_000);
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:01:00 GMT', 0), 60_000);
  assert.equal(parseRetryAfter('soon', 0), null);
  assert.equal(parseRetryAfter(undefined, 0), null);
});
