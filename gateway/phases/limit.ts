import type { RouteContext } from '../compile.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Exchange } from '../exchange.ts';
import { EffectiveLimits } from '../limits/effective-limits.ts';
import { HeaderFields } from '../limits/header-fields.ts';
import type { Decision, LimitSet } from '../limits/limiter.ts';
import { LimitRefusals } from '../limits/refusals.ts';
import { readSubjects } from '../limits/subjects.ts';
import type { Phase, PhaseResult } from '../pipeline.ts';
import { Refusal } from '../refusal.ts';
import { routeCacheOf } from './cache.ts';

/** What the answers of a set are made from. */
interface Answers {
  readonly fields: HeaderFields;
  readonly refusals: LimitRefusals;
}

const unavailable = new Refusal('limiter_unavailable', ['Retry-After', '1']);
const answersOf = new WeakMap<LimitSet, Answers>();

export function fieldsOf(set: LimitSet): HeaderFields {
  return answers(set).fields;
}

function answers(set: LimitSet): Answers {
  let made = answersOf.get(set);
  if (made === undefined) {
    made = { fields: new HeaderFields(set), refusals: new LimitRefusals(set) };
    answersOf.set(set, made);
  }
  return made;
}

/** Whether a request of this route can be under any limit. */
export function canBeLimited({ route }: RouteContext): boolean {
  const hasPlan = route.applyPlan !== false && route.authentication !== 'none';
  return hasPlan || (route.limits !== undefined && route.limits.length > 0);
}

/** Decides the limits of the plan and the route together; refuses, or records what the answer will say of them. */
export function limit(context: RouteContext, dependencies: Dependencies): Phase | null {
  if (!canBeLimited(context)) return null;
  const { limiter, keys, now } = dependencies;
  const { route } = context;
  const uncounted = route.cache?.countQuota === false ? routeCacheOf(context, dependencies) : null;
  const effective = new EffectiveLimits(route, keys);
  const cost = route.cost ?? 1;
  const subjects = ['', '', '', '', '', '', ''];
  return (exchange) => {
    let set = effective.of(exchange);
    if (uncounted?.wouldHit(exchange) === true) set = set.withoutQuotas();
    if (set.limits.length === 0) {
      exchange.limitOutcome = 'unlimited';
      return undefined;
    }
    readSubjects(exchange, set, route.id, subjects);
    const decision = limiter.take(set, subjects, cost, now());
    if (decision instanceof Promise) return decision.then((decided) => conclude(exchange, set, decided));
    return conclude(exchange, set, decision);
  };
}

function conclude(exchange: Exchange, set: LimitSet, decision: Decision): PhaseResult {
  if (decision.release !== null) {
    // The client may have left while the decision was awaited.
    if (exchange.ended) decision.release();
    else exchange.release = decision.release;
  }
  if (decision.unavailable) {
    exchange.limitOutcome = 'refused';
    return unavailable;
  }
  const { fields, refusals } = answers(set);
  exchange.limitHeaders = fields.write(decision, Math.random());
  if (!decision.admitted) {
    exchange.limitOutcome = 'refused';
    return refusals.of(decision);
  }
  if (decision.overage !== null) {
    exchange.overage = decision.overage === 'charge';
    exchange.limitOutcome = decision.overage === 'charge' ? 'charged' : 'warned';
  } else exchange.limitOutcome = decision.shadowed ? 'shadow' : 'admitted';
  return undefined;
}
