import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../../support/processes.ts';
import { startFleet } from './fleet.ts';
import { startLoad } from './load.ts';

const flushIntervalMs = 200;
const perSecond = 400;

test('a gateway killed with SIGKILL loses at most what it recorded within the flush interval', {
  timeout: 120_000,
}, async (t) => {
  const fleet = await startFleet({ workers: { http: 2 }, flushIntervalMs });
  t.after(() => fleet.stop());
  const load = startLoad(fleet.gateways, 2000, perSecond);
  await eventually(() => assert.ok(load.answered.size >= 1000), 60_000);
  const [gateway] = fleet.gateways;
  const before = load.answered.size;
  gateway!.process.kill('SIGKILL');
  await gateway!.process.ended;
  await load.done;
  await gateway!.start();

  const answered = load.answered.size;
  // The gateway that was started again hands over what the killed one had on disk; when its spool is empty, all is there.
  await eventually(async () => assert.equal(await fleet.pendingEvents(gateway!), 0), 60_000);
  const [row] = await fleet.query<{ n: number }>(
    `SELECT count(DISTINCT endpoint)::int AS n FROM api_usage_events`,
  );
  const stored = row!.n;
  const lost = answered - stored;
  t.diagnostic(`killed after ${before} answers: ${answered} answered, ${stored} stored, ${lost} lost`);
  // A full second at this rate leaves room for a machine that is busy; the interval is a fifth of it.
  assert.ok(lost >= 0 && lost <= perSecond, `${lost} lost`);
  const [doubles] = await fleet.query<{ n: number }>(
    `SELECT (count(*) - count(DISTINCT endpoint))::int AS n FROM api_usage_events`,
  );
  assert.equal(doubles!.n, 0);
});
