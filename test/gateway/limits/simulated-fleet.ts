import { LocalLimiter } from '../../../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../../../gateway/limits/memory/memory.ts';
import { AwayPolicy } from '../../../gateway/limits/redis/away-policy.ts';
import { LeasedLimiter } from '../../../gateway/limits/redis/leased-limiter.ts';
import type { LedgerLink, RedisLink } from '../../../gateway/limits/redis/redis-link.ts';
import type { ScriptName } from '../../../gateway/limits/redis/scripts.ts';
import { seededRandom } from '../../conformance/limiter-suite.ts';

/** Half a minute before a UTC day and a month end. */
export const simulationStartMs = Date.UTC(2026, 4, 31, 23, 59, 30);

/** Events in simulated time. */
export class Simulation {
  nowMs = simulationStartMs;
  readonly random: () => number;
  readonly admitted: { at: number; cost: number }[] = [];
  /** The next one last. */
  readonly #events: { at: number; run: () => void | Promise<void> }[] = [];

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  at(delayMs: number, action: () => void | Promise<void>): void {
    const at = this.nowMs + delayMs;
    // After all that come before it or at the same time.
    let from = 0;
    let to = this.#events.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#events[middle]!.at > at) from = middle + 1;
      else to = middle;
    }
    while (from > 0 && this.#events[from - 1]!.at === at) from--;
    this.#events.splice(from, 0, { at, run: action });
  }

  /** Plays events in their order until `untilMs`. */
  async play(untilMs: number): Promise<void> {
    for (;;) {
      const event = this.#events.at(-1);
      if (event === undefined || event.at > untilMs) return;
      this.#events.pop();
      this.nowMs = event.at;
      await event.run();
      // What follows from it at once: microtasks, and the calls that are flushed at the end of the turn.
      for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** A gateway's way to a real Redis whose clock is the simulation's: calls and answers take time and get lost. */
export class SimulatedLink implements LedgerLink {
  readonly isCluster = false;
  failures = 0;
  dead = false;
  /** Until then Redis cannot be reached from here. */
  cutOffUntilMs = 0;
  readonly #simulation: Simulation;
  readonly #lossRate: number;
  readonly #redis: RedisLink;
  readonly #open = new Set<(error: Error) => void>();

  constructor(simulation: Simulation, redis: RedisLink, lossRate: number) {
    this.#simulation = simulation;
    this.#redis = redis;
    this.#lossRate = lossRate;
  }

  isAway(): boolean {
    return this.dead || this.#simulation.nowMs < this.cutOffUntilMs;
  }
  isConnected(): boolean {
    return !this.isAway();
  }
  async close(): Promise<void> {}

  /** The gateway is gone: what it waited for is never answered, what it has sent may still be carried out. */
  die(): void {
    this.dead = true;
    for (const reject of this.#open) reject(new Error('gone'));
  }

  run(script: ScriptName, tag: string, keys: readonly string[], args: readonly string[]): Promise<number[]> {
    const simulation = this.#simulation;
    const delay = (): number => (simulation.random() < 0.1 ? 400 : 5) * simulation.random();
    if (this.isAway()) return Promise.reject(new Error('cut off'));
    return new Promise((resolve, reject) => {
      this.#open.add(reject);
      // A call that was given up may still be carried out, even after later ones.
      if (simulation.random() < this.#lossRate / 2) {
        simulation.at(1, () => reject(new Error('given up')));
        simulation.at(delay() * 3, async () => {
          const timed = [String(Math.floor(simulation.nowMs * 1000)), ...args.slice(1)];
          await this.#redis.run(script, tag, keys, timed);
        });
        return;
      }
      simulation.at(delay(), async () => {
        if (this.dead && simulation.random() < 0.5) return;
        const timed = [String(Math.floor(simulation.nowMs * 1000)), ...args.slice(1)];
        const reply = await this.#redis.run(script, tag, keys, timed);
        const lost = simulation.random() < this.#lossRate;
        simulation.at(delay(), () => {
          if (this.dead) return;
          if (!lost) resolve(reply);
          else {
            this.failures++;
            reject(new Error('lost'));
          }
        });
      });
    });
  }
}

/** A gateway's limiter, with a clock of its own. */
export class SimulatedGateway {
  readonly link: SimulatedLink;
  readonly limiter: LeasedLimiter;

  constructor(simulation: Simulation, redis: RedisLink, name: string, lossRate: number) {
    this.link = new SimulatedLink(simulation, redis, lossRate);
    const speed = 0.97 + simulation.random() * 0.06;
    const offset = simulation.random() * 1e6;
    this.limiter = new LeasedLimiter({
      ...{ link: this.link, holder: name, budgetMs: 1e8, leaseMs: 2000, idleMs: 600 },
      away: new AwayPolicy({
        action: 'closed',
        local: new LocalLimiter(createLimiterMemory({ maxCounters: 10 }), 1),
        liveGateways: () => 1,
      }),
      monotonicMs: () => offset + (simulation.nowMs - simulationStartMs) * speed,
    });
  }

  check(): void {
    if (!this.link.dead) this.limiter.check();
  }
}
