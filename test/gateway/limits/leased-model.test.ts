import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Limit } from '#contract/limits.ts';
import { LimitSet } from '../../../gateway/limits/limiter.ts';
import { RedisLink } from '../../../gateway/limits/redis/redis-link.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { SimulatedGateway, Simulation, simulationStartMs } from './simulated-fleet.ts';

/**
 * A fleet in simulated time around a real Redis. Calls and answers take random times, answers and whole gateways get
 * lost, clocks run at different speeds. What was admitted is compared with what one ledger would have allowed.
 */

let server: TestRedis;
let redis: RedisLink;
let run = 0;

before(async () => {
  server = await startRedis();
  redis = new RedisLink({ url: server.url, detectMs: 10_000 });
  await redis.ready(5000);
});
after(async () => {
  await redis.close();
  await server.stop();
});

interface Fleet {
  readonly gateways: number;
  readonly limit: Limit;
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly crashes: boolean;
  readonly partitions: boolean;
  readonly lossRate: number;
  readonly costs?: readonly number[];
}

async function play(seed: number, fleet: Fleet): Promise<Simulation> {
  const simulation = new Simulation(seed);
  const set = new LimitSet([fleet.limit], [], 'r');
  const name = `model-${seed}-${++run}`;
  const subjects = [name, name, name, name, name, name, name];
  let incarnation = 0;
  const start = (): SimulatedGateway =>
    new SimulatedGateway(simulation, redis, `g${++incarnation}`, fleet.lossRate);
  const gateways = Array.from({ length: fleet.gateways }, start);
  const size = fleet.limit.kind === 'token_bucket' ? fleet.limit.capacity : fleet.limit.limit;
  const costs = fleet.costs ?? [1];
  for (let i = 0; i < fleet.requestsPerSecond * fleet.seconds; i++) {
    const at = simulation.random() * fleet.seconds * 1000;
    const index = Math.floor(simulation.random() * gateways.length);
    const cost = costs[Math.floor(simulation.random() * costs.length)]!;
    simulation.at(at, () => {
      const gateway = gateways[index]!;
      const result = gateway.limiter.take(set, subjects, cost, simulation.nowMs);
      const note = (admitted: boolean): void => {
        if (admitted && !gateway.link.dead) simulation.admitted.push({ at: simulation.nowMs, cost });
      };
      if (result instanceof Promise) void result.then((decision) => note(decision.admitted));
      else note(result.admitted);
    });
  }
  for (let at = 250; at < fleet.seconds * 1000; at += 250) {
    simulation.at(at, () => {
      let stranded = 0;
      for (const gateway of gateways) {
        gateway.check();
        const held = gateway.link.dead ? 0 : gateway.limiter.stranded();
        assert.ok(held <= Math.max(8, size / 2), `a gateway holds ${held} of ${size}`);
        stranded += held;
      }
      assert.ok(stranded <= size, `${stranded} of ${size} are stranded`);
    });
  }
  for (let i = 0; fleet.crashes && i < fleet.seconds / 2; i++) {
    simulation.at(simulation.random() * fleet.seconds * 1000, () => {
      const index = Math.floor(simulation.random() * gateways.length);
      gateways[index]!.link.die();
      void gateways[index]!.limiter.close();
      gateways[index] = start();
    });
  }
  for (let i = 0; fleet.partitions && i < fleet.seconds; i++) {
    simulation.at(simulation.random() * fleet.seconds * 1000, () => {
      const index = Math.floor(simulation.random() * gateways.length);
      gateways[index]!.link.cutOffUntilMs = simulation.nowMs + 4000;
    });
  }
  await simulation.play(simulationStartMs + fleet.seconds * 1000);
  for (const gateway of gateways) {
    gateway.link.die();
    await gateway.limiter.close();
  }
  return simulation;
}

const scenarios = (count: number): Omit<Fleet, 'limit'>[] =>
  Array.from({ length: count }, (_, i) => ({
    gateways: 1 + (i % 8),
    requestsPerSecond: [5, 40, 80][i % 3]!,
    seconds: 6,
    crashes: i % 2 === 1,
    partitions: i % 4 >= 2,
    lossRate: i % 5 === 2 ? 0.3 : 0,
    costs: i % 3 === 2 ? [1, 2, 5] : [1],
  }));

test('a fleet never admits more than one bucket would, at any moment', async () => {
  for (const [i, scenario] of scenarios(32).entries()) {
    const limit: Limit = { kind: 'token_bucket', name: 'b', capacity: 20, refill: 7, intervalMs: 1000 };
    const { admitted } = await play(100 + i, { ...scenario, limit });
    let debt = 0;
    let last = simulationStartMs;
    for (const { at, cost } of admitted) {
      debt = Math.max(0, debt - ((at - last) * 7) / 1000) + cost;
      last = at;
      assert.ok(debt <= 20 + 1e-6, `seed ${100 + i}: ${debt}`);
    }
    assert.ok(admitted.length > 5, `seed ${100 + i} admits something`);
  }
});

test('a fleet never admits more than the limit of a sliding window in any window', async () => {
  for (const [i, scenario] of scenarios(32).entries()) {
    const limit: Limit = { kind: 'sliding_window', name: 'w', limit: 25, windowMs: 1500 };
    const { admitted } = await play(200 + i, { ...scenario, limit });
    for (let from = 0; from < admitted.length; from++) {
      let sum = 0;
      for (let to = from; to < admitted.length && admitted[to]!.at - admitted[from]!.at < 1500; to++) {
        sum += admitted[to]!.cost;
      }
      assert.ok(sum <= 25, `seed ${200 + i}: ${sum}`);
    }
    assert.ok(admitted.length > 5);
  }
});

test('a fleet never admits more than a quota', async () => {
  for (const [i, scenario] of scenarios(32).entries()) {
    const limit: Limit = { kind: 'quota', name: 'q', limit: 60, period: 'day' };
    const { admitted } = await play(300 + i, { ...scenario, limit });
    const sum = admitted.reduce((total, { cost }) => total + cost, 0);
    assert.ok(sum <= 60, `seed ${300 + i}: ${sum}`);
    // Without losses and crashes nearly all of it can be used: what is left lies in slices that have shrunk.
    const offered = scenario.requestsPerSecond * scenario.seconds;
    if (!scenario.crashes && !scenario.partitions && scenario.lossRate === 0 && offered >= 240)
      assert.ok(sum >= 50, `seed ${300 + i}: ${sum}`);
  }
});

test('a quota is not exceeded on either side of midnight', async () => {
  for (let seed = 400; seed < 406; seed++) {
    const limit: Limit = { kind: 'quota', name: 'q', limit: 150, period: 'day' };
    const { admitted } = await play(seed, {
      ...{
        gateways: 4,
        limit,
        requestsPerSecond: 20,
        seconds: 45,
        crashes: false,
        partitions: false,
        lossRate: 0,
      },
    });
    const midnight = Date.UTC(2026, 5, 1);
    const before = admitted.filter(({ at }) => at < midnight).length;
    const afterwards = admitted.length - before;
    assert.ok(before <= 150 && before > 140, `seed ${seed}: ${before}`);
    assert.ok(afterwards <= 150 && afterwards > 100, `seed ${seed}: ${afterwards}`);
  }
});
