import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findKafka } from '../../support/kafka.ts';
import { eventually } from '../../support/processes.ts';
import { type Fleet, startFleet } from './fleet.ts';
import { startLoad } from './load.ts';

/** `TOLLGATE_LONG_TESTS=1` sends 200,000 requests. */
const isLong = process.env.TOLLGATE_LONG_TESTS === '1';
const total = isLong ? 200_000 : 12_000;
const perSecond = isLong ? 2000 : 600;
const seed = Number(process.env.TOLLGATE_TEST_SEED ?? 20250115);

function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Counts {
  events: number;
  endpoints: number;
  minutes: number;
  hours: number;
  days: number;
}

async function readCounts(fleet: Fleet): Promise<Counts> {
  const [row] = await fleet.query<Counts>(
    `SELECT (SELECT count(*)::int FROM api_usage_events) AS events,
       (SELECT count(DISTINCT endpoint)::int FROM api_usage_events) AS endpoints,
       (SELECT coalesce(sum(calls), 0)::int FROM api_usage_rollups_minute) AS minutes,
       (SELECT coalesce(sum(calls), 0)::int FROM api_usage_rollups_hour) AS hours,
       (SELECT coalesce(sum(calls), 0)::int FROM api_usage_rollups_day) AS days`,
  );
  return row!;
}

test('while every part crashes and a gateway is stopped, requests answered = events stored = sum of rollups', {
  timeout: isLong ? 900_000 : 240_000,
}, async (t) => {
  const withKafka = (await findKafka()) === null;
  const workers = withKafka ? { http: 2, redis: 1, kafka: 1 } : { http: 2, redis: 2 };
  const fleet = await startFleet({ workers });
  t.after(() => fleet.stop());
  const load = startLoad(fleet.gateways, total, perSecond);
  let sending = true;
  void load.done.then(() => {
    sending = false;
  });

  // Each part crashes at least once, in random order and at random times; then any of them as long as requests come.
  const random = randomOf(seed);
  const crashed: string[] = [];
  const order = [...fleet.parts].sort(() => random() - 0.5);
  for (let i = 0; sending || i < order.length; i++) {
    const part = order[i] ?? order[Math.floor(random() * order.length)]!;
    await pause(500 + random() * 1500);
    await part.crash();
    crashed.push(part.name);
    await pause(200 + random() * 1500);
    await part.start();
    if (i === 1) {
      const gateway = fleet.gateways[1]!;
      gateway.process.kill('SIGTERM');
      const { code } = await gateway.process.ended;
      assert.equal(code, 0, gateway.process.output());
      await gateway.start();
    }
  }
  await load.done;
  for (const gateway of fleet.gateways) {
    gateway.process.kill('SIGTERM');
    await gateway.process.ended;
    // What its stop could not hand over in time is handed over after the next start.
    await gateway.start();
  }

  const { answered } = load;
  const expected = answered.size;
  t.diagnostic(`${expected} answered, ${load.failed()} failed; crashed: ${crashed.join(', ')}`);
  assert.ok(expected > total / 2);
  await eventually(async () => assert.equal((await readCounts(fleet)).events, expected), 120_000);
  // A control plane that starts afresh takes in whatever brokers and spools still hold: nothing.
  await fleet.stopControlPlane();
  await fleet.startControlPlane();
  const nothing = withKafka ? [0, 0] : [0];
  await eventually(async () => assert.deepEqual(await fleet.brokerLags(), nothing), 60_000);
  assert.deepEqual(await readCounts(fleet), {
    events: expected,
    endpoints: expected,
    minutes: expected,
    hours: expected,
    days: expected,
  });
});

/** Faults come in real time: processes are real. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
