import type { Limit } from '#contract/limits.ts';
import type { ProblemCode } from '#contract/problems.ts';
import { Refusal } from '../refusal.ts';
import type { Decision, LimitSet } from './limiter.ts';

const codes: Record<Limit['kind'], ProblemCode> = {
  token_bucket: 'rate_limited',
  sliding_window: 'rate_limited',
  quota: 'quota_exceeded',
  concurrency: 'concurrency_exceeded',
};
const weight = (code: ProblemCode): number =>
  code === 'quota_exceeded' ? 2 : code === 'rate_limited' ? 1 : 0;

/** The 429 answers of a set: one for each combination of limits that refuse, made once. */
export class LimitRefusals {
  readonly #set: LimitSet;
  readonly #made = new Map<string, Refusal>();

  constructor(set: LimitSet) {
    this.#set = set;
  }

  of(decision: Decision): Refusal {
    const { limits } = this.#set;
    let combination = '';
    for (let i = 0; i < limits.length; i++) combination += this.#refuses(decision, i) ? '1' : '0';
    let refusal = this.#made.get(combination);
    if (refusal === undefined) {
      refusal = this.#make(decision);
      this.#made.set(combination, refusal);
    }
    return refusal;
  }

  #refuses(decision: Decision, i: number): boolean {
    const limit = this.#set.limits[i]!;
    return decision.violated[i] === 1 && !limit.shadow && limit.overage === 'block';
  }

  #make(decision: Decision): Refusal {
    let code: ProblemCode = 'concurrency_exceeded';
    const violated: string[] = [];
    this.#set.limits.forEach(({ limit }, i) => {
      if (!this.#refuses(decision, i)) return;
      if (weight(codes[limit.kind]) > weight(code)) code = codes[limit.kind];
      violated.push(limit.name);
    });
    return new Refusal(code, [], undefined, { violated });
  }
}
