import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Limit, ThresholdEvent } from '#contract/limits.ts';
import { type Decision, type Limiter, LimitSet } from '../../gateway/limits/limiter.ts';

/** The instant that the vectors count from: noon of a last day of May, so that day and month end together. */
export const t0 = Date.UTC(2026, 4, 31, 12);

/** An engine under test, with its clock in the test's hands. */
export interface Engine {
  readonly limiter: Limiter;
  /** Sets the clock of the ledger, in milliseconds since the epoch. */
  setNow(nowMs: number): void;
  /** Waits until corrections have arrived. */
  settle(): Promise<void>;
  readonly events: ThresholdEvent[];
}

interface Step {
  readonly atMs: number;
  readonly cost: number;
  readonly [expected: string]: unknown;
}
interface Vector {
  readonly title: string;
  readonly limits: readonly Limit[];
  readonly steps: readonly Step[];
}

export const vectors = JSON.parse(
  readFileSync(new URL('./limiter-vectors.json', import.meta.url), 'utf8'),
) as readonly Vector[];

let used = 0;
/** Subjects that no test has used before. */
export function freshSubjects(): string[] {
  const name = `subject-${++used}`;
  return [name, name, name, name, name, name, name];
}

export interface PlainDecision {
  readonly admitted: boolean;
  readonly unavailable: boolean;
  readonly retryAfterMs: number;
  readonly overage: string | null;
  readonly shadowed: boolean;
  readonly remaining: readonly number[];
  readonly resetMs: readonly number[];
  readonly violated: readonly number[];
}

export function plain(decision: Decision, count: number): PlainDecision {
  const { admitted, unavailable, retryAfterMs, overage, shadowed } = decision;
  return {
    ...{ admitted, unavailable, retryAfterMs, overage, shadowed },
    remaining: decision.remaining.slice(0, count),
    resetMs: decision.resetMs.slice(0, count),
    violated: decision.violated.slice(0, count),
  };
}

export async function playVector(engine: Engine, vector: Vector): Promise<void> {
  const set = new LimitSet(vector.limits, [], 'r');
  const subjects = freshSubjects();
  for (const [number, { atMs, cost, ...expected }] of vector.steps.entries()) {
    engine.setNow(t0 + atMs);
    const decision = plain(await engine.limiter.take(set, subjects, cost, t0 + atMs), set.limits.length);
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(decision[name as keyof PlainDecision], value, `step ${number}: ${name}`);
    }
  }
}

/** A small, repeatable source of numbers (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Random requests, corrections, releases and changes of plan; returns every decision, so that two engines can be
 * compared step by step.
 */
export async function playRandom(engine: Engine, seed: number, steps: number): Promise<string[]> {
  const random = seededRandom(seed);
  const upTo = (limit: number): number => 1 + Math.floor(random() * limit);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const makeLimit = (index: number): Limit => {
    const name = `l${index}`;
    const shadow = random() < 0.15;
    switch (pick(['token_bucket', 'sliding_window', 'quota', 'concurrency', 'token_bucket'] as const)) {
      case 'token_bucket':
        return {
          kind: 'token_bucket',
          name,
          shadow,
          capacity: upTo(30),
          refill: upTo(9),
          intervalMs: upTo(5000),
        };
      case 'sliding_window':
        return { kind: 'sliding_window', name, shadow, limit: upTo(30), windowMs: upTo(20_000) };
      case 'quota':
        return {
          ...{ kind: 'quota', name, shadow, limit: upTo(200) },
          period: pick(['day', 'month'] as const),
          overage: pick(['block', 'block', 'warn', 'charge'] as const),
        };
      case 'concurrency':
        return { kind: 'concurrency', name, shadow, limit: upTo(4) };
    }
  };
  const makeSet = (): LimitSet =>
    new LimitSet(
      Array.from({ length: upTo(4) }, (_, i) => makeLimit(i)),
      [],
      'r',
    );
  const run = ++used;
  let sets = Array.from({ length: 4 }, makeSet);
  const releases: (() => void)[] = [];
  const log: string[] = [];
  let nowMs = t0;
  for (let step = 0; step < steps; step++) {
    nowMs += random() < 0.5 ? 0 : random() < 0.01 ? upTo(30_000_000) : upTo(800);
    engine.setNow(nowMs);
    if (random() < 0.01) sets = sets.map((set) => (random() < 0.5 ? set : makeSet()));
    const index = Math.floor(random() * sets.length);
    const set = sets[index]!;
    const name = `random-${run}-${index}`;
    const subjects = [name, name, name, name, name, name, name];
    if (random() < 0.05 && releases.length > 0) {
      releases.splice(Math.floor(random() * releases.length), 1)[0]!();
      await engine.settle();
    }
    if (random() < 0.05) {
      engine.limiter.adjust(set, subjects, upTo(9) - 5, nowMs);
      await engine.settle();
    }
    const decision = await engine.limiter.take(set, subjects, random() < 0.05 ? 0 : upTo(3), nowMs);
    if (decision.release !== null) releases.push(decision.release);
    log.push(JSON.stringify(plain(decision, set.limits.length)));
  }
  for (const event of engine.events.splice(0)) {
    log.push(JSON.stringify({ ...event, subject: event.subject.replace(/^random-\d+/, 'random') }));
  }
  return log;
}
