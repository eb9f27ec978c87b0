import Type, { type Static, type TSchema } from 'typebox';
import type { Consumer } from '#contract/access.ts';
import type { Exchange } from '../exchange.ts';
import { answered, type Phase, type PhaseResult, type ResponsePhase } from '../pipeline.ts';
import { Refusal, refusal } from '../refusal.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** What policies of one's own are made with: the package export `tollgate/policy`. */

/**
 * Where a policy runs. `before_authentication`: the route is known, the caller is not. `before_limits`: the caller is
 * known and may use the route. `before_forwarding`: nothing but cache and service is left. `response`: on every
 * answer to the client, refusals included, before its head is sent.
 */
export type PolicyPlace = 'before_authentication' | 'before_limits' | 'before_forwarding' | 'response';

export const policyPlaces: readonly PolicyPlace[] = [
  'before_authentication',
  'before_limits',
  'before_forwarding',
  'response',
];

/** What a policy may use besides the exchange. */
export interface PolicyTools {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;
  readonly metrics: Pick<Metrics, 'counter' | 'gauge' | 'histogram'>;
}

export interface RequestPolicy<S extends TSchema = TSchema> {
  /** As routes name it. */
  readonly name: string;
  /** Of its configuration in a route; checked before `create` is called. */
  readonly schema: S;
  readonly place: Exclude<PolicyPlace, 'response'>;
  /** Called for every route that names the policy, when configuration is loaded. */
  create(config: Static<S>, tools: PolicyTools): Phase;
}

export interface ResponsePolicy<S extends TSchema = TSchema> {
  readonly name: string;
  readonly schema: S;
  readonly place: 'response';
  create(config: Static<S>, tools: PolicyTools): ResponsePhase;
}

export type Policy = RequestPolicy | ResponsePolicy;

/** The default export of a policy's file. */
export function definePolicy<S extends TSchema>(policy: RequestPolicy<S>): RequestPolicy<S>;
export function definePolicy<S extends TSchema>(policy: ResponsePolicy<S>): ResponsePolicy<S>;
export function definePolicy(policy: Policy): Policy {
  return policy;
}

export type { Consumer, Exchange, Phase, PhaseResult, ResponsePhase };
export { answered, Refusal, refusal, Type };
