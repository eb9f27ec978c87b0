import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultLimits } from '#contract/limits.ts';
import { LimitSet } from '../../../gateway/limits/limiter.ts';
import { LocalLimiter } from '../../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../../gateway/limits/memory/memory.ts';
import { RedisLink } from '../../../gateway/limits/redis/redis-link.ts';
import { freshSubjects } from '../../conformance/limiter-suite.ts';
import { startRedis } from '../../support/redis.ts';
import { SimulatedGateway, Simulation, simulationStartMs } from './simulated-fleet.ts';

test('four gateways together admit what one ledger would, to the percent, under twenty times the load', async (t) => {
  const server = await startRedis();
  const redis = new RedisLink({ url: server.url, detectMs: 10_000 });
  t.after(async () => {
    await redis.close();
    await server.stop();
  });
  await redis.ready(5000);
  const set = new LimitSet(defaultLimits, [], 'r');
  for (const seconds of [60, 180]) {
    const simulation = new Simulation(seconds);
    const gateways = Array.from(
      { length: 4 },
      (_, i) => new SimulatedGateway(simulation, redis, `f${seconds}-${i}`, 0),
    );
    t.after(async () => {
      for (const { link, limiter } of gateways) {
        link.die();
        await limiter.close();
      }
    });
    const reference = new LocalLimiter(createLimiterMemory({ maxCounters: 100 }), 1);
    const subjects = freshSubjects();
    const offered = ((20 * 100) / 60) * seconds;
    let ideal = 0;
    let admitted = 0;
    for (let i = 0; i < offered; i++) {
      simulation.at((i / offered) * seconds * 1000 + simulation.random() * 20, () => {
        if (reference.take(set, subjects, 1, simulation.nowMs).admitted) ideal++;
        const gateway = gateways[Math.floor(simulation.random() * 4)]!;
        const decision = gateway.limiter.take(set, subjects, 1, simulation.nowMs);
        if (!(decision instanceof Promise)) admitted += decision.admitted ? 1 : 0;
        else void decision.then((decided) => (admitted += decided.admitted ? 1 : 0));
      });
    }
    for (let at = 0; at < seconds * 1000; at += 250) {
      simulation.at(at, () => {
        for (const gateway of gateways) gateway.check();
      });
    }
    await simulation.play(simulationStartMs + seconds * 1000 + 1000);
    const [immediate, waited] = gateways.reduce(
      ([one, other], { limiter }) => [one + limiter.immediate, other + limiter.waited],
      [0, 0],
    );
    t.diagnostic(
      `${seconds} s: offered ${Math.floor(offered)}, admitted ${admitted}, ideal ${ideal}; ` +
        `${((100 * immediate) / (immediate + waited)).toFixed(1)} % decided at once`,
    );
    assert.ok(admitted <= ideal, `over-admitted: ${admitted} > ${ideal}`);
    assert.ok(admitted >= ideal * 0.99, `under-admitted: ${admitted} < ${ideal}`);
  }
});
