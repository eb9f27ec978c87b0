import { defaultLimits, type Limit } from '#contract/limits.ts';
import type { Key, Plan, Route } from '#contract/registry.ts';
import type { KeyLookup } from '../credentials/key-lookup.ts';
import type { Exchange } from '../exchange.ts';
import { LimitSet } from './limiter.ts';

/** Routes without limits of their own share the sets of the plans. */
const plainDefault = new LimitSet(defaultLimits, [], '');
const plainByPlan = new WeakMap<Plan, LimitSet>();

/** Which limits apply to the requests of one route. Sets are made when a plan is first met and kept while it lives. */
export class EffectiveLimits {
  readonly #keys: KeyLookup;
  readonly #ofRoute: readonly Limit[];
  readonly #routeId: string;
  readonly #anonymous: LimitSet;
  readonly #default: LimitSet;
  readonly #applyPlan: boolean;
  readonly #byPlan: WeakMap<Plan, LimitSet>;
  readonly #byKey = new WeakMap<Key, { plan: Plan | null; set: LimitSet }>();

  constructor(route: Route, keys: KeyLookup) {
    this.#keys = keys;
    this.#ofRoute = route.limits ?? [];
    this.#routeId = route.id;
    this.#applyPlan = route.applyPlan !== false;
    this.#anonymous = new LimitSet([], this.#ofRoute, route.id);
    const plain = this.#ofRoute.length === 0;
    this.#default = plain ? plainDefault : new LimitSet(defaultLimits, this.#ofRoute, route.id);
    this.#byPlan = plain ? plainByPlan : new WeakMap();
  }

  /** The limits of the caller's plan, with the key's own quota over them, and of the route. */
  of(exchange: Exchange): LimitSet {
    const { key } = exchange;
    if (!this.#applyPlan || exchange.consumer === null) return this.#anonymous;
    if (key === null) return this.#default;
    const plan = this.#keys.find(key.id)?.plan ?? null;
    if (key.quota !== undefined) return this.#ofKey(key, plan);
    if (plan === null) return this.#default;
    let set = this.#byPlan.get(plan);
    if (set === undefined) {
      set = new LimitSet(plan.limits, this.#ofRoute, this.#routeId);
      this.#byPlan.set(plan, set);
    }
    return set;
  }

  #ofKey(key: Key, plan: Plan | null): LimitSet {
    const known = this.#byKey.get(key);
    if (known !== undefined && known.plan === plan) return known.set;
    const limits = overridden(plan === null ? defaultLimits : plan.limits, key.quota!);
    const set = new LimitSet(limits, this.#ofRoute, this.#routeId);
    this.#byKey.set(key, { plan, set });
    return set;
  }
}

const isBucket = (limit: Limit): boolean => limit.kind === 'token_bucket' && (limit.scope ?? 'key') === 'key';
const isDaily = (limit: Limit): boolean =>
  limit.kind === 'quota' && limit.period === 'day' && (limit.scope ?? 'key') === 'key';

/** A plan's limits with the key's quota over its first bucket and its first daily quota; added where it has none. */
export function overridden(limits: readonly Limit[], quota: NonNullable<Key['quota']>): readonly Limit[] {
  const result = limits.slice();
  if (quota.burst !== undefined || quota.sustainedPerMinute !== undefined) {
    const at = result.findIndex(isBucket);
    const base = at < 0 ? defaultLimits.find(isBucket)! : result[at]!;
    if (base.kind === 'token_bucket') {
      const bucket: Limit = {
        ...base,
        capacity: quota.burst ?? base.capacity,
        ...(quota.sustainedPerMinute !== undefined && {
          refill: quota.sustainedPerMinute,
          intervalMs: 60_000,
        }),
      };
      if (at < 0) result.push(bucket);
      else result[at] = bucket;
    }
  }
  if (quota.daily !== undefined || quota.overage !== undefined) {
    const at = result.findIndex(isDaily);
    const base = at < 0 ? defaultLimits.find(isDaily)! : result[at]!;
    if (base.kind === 'quota') {
      const daily: Limit = {
        ...base,
        limit: quota.daily ?? base.limit,
        ...(quota.overage !== undefined && { overage: quota.overage }),
      };
      if (at < 0) result.push(daily);
      else result[at] = daily;
    }
  }
  return result;
}
