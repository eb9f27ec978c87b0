import { type ProblemCode, problems } from '#contract/problems.ts';
import { type Refusal, refusal } from '../refusal.ts';
import type { UpstreamFailure } from './client.ts';

const failureCodes: Record<UpstreamFailure, ProblemCode> = {
  unreachable: 'upstream_unreachable',
  reset: 'upstream_reset',
  invalid: 'upstream_invalid',
  timeout: 'upstream_timeout',
};

/** The status that a failure is answered with. */
export function failureStatus(failure: UpstreamFailure): number {
  return problems[failureCodes[failure]].status;
}

/** How a failure is answered while nothing of an answer has been sent. */
export function failureRefusal(failure: UpstreamFailure): Refusal {
  return refusal(failureCodes[failure]);
}
