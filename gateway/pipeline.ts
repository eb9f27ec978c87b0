import type { Exchange } from './exchange.ts';
import { type Refusal, refusal } from './refusal.ts';

/** Returned by a phase that has taken over the response (a cache hit, a CORS preflight). */
export const answered: unique symbol = Symbol('answered');
export type PhaseResult = undefined | Refusal | typeof answered;

/** One step of the request's way. It returns undefined to go on. A promise only where something has to be waited for. */
export type Phase = (exchange: Exchange) => PhaseResult | Promise<PhaseResult>;

/**
 * Runs on every response to the client of a matched route, refusals included, before its head is sent; adds to
 * `exchange.responseHeaders`.
 */
export type ResponsePhase = (exchange: Exchange) => void;

export interface Faults {
  /** An exception in a phase: a bug, answered 500. */
  onFault(exchange: Exchange, error: unknown): void;
}

/** Runs phases from `index` on; the first refusal or answer ends the run. The last phase forwards. */
export function run(exchange: Exchange, phases: readonly Phase[], faults: Faults, index = 0): void {
  try {
    for (let i = index; i < phases.length; i++) {
      const result = phases[i]!(exchange);
      if (result === undefined) continue;
      if (result instanceof Promise) {
        resume(exchange, phases, faults, i + 1, result);
        return;
      }
      if (result !== answered) exchange.refuse(result);
      return;
    }
  } catch (error) {
    fail(exchange, faults, error);
  }
}

function resume(
  exchange: Exchange,
  phases: readonly Phase[],
  faults: Faults,
  next: number,
  pending: Promise<PhaseResult>,
): void {
  pending.then(
    (result) => {
      if (exchange.ended) return;
      if (result === undefined) run(exchange, phases, faults, next);
      else if (result !== answered) exchange.refuse(result);
    },
    (error: unknown) => fail(exchange, faults, error),
  );
}

function fail(exchange: Exchange, faults: Faults, error: unknown): void {
  if (exchange.ended) return;
  faults.onFault(exchange, error);
  if (exchange.headSent) exchange.abandon();
  else exchange.refuse(refusal('internal_error'));
}
