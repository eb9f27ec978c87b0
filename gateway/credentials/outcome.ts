import type { CounterCell, Metrics } from '../telemetry/metrics.ts';

/** How an attempt to authenticate ended, for the metric `api_key_auth_attempts_total`; clients are not told. */
export type AuthOutcome =
  | 'success'
  | 'missing'
  | 'malformed'
  | 'not_accepted'
  | 'unknown'
  | 'wrong_kind'
  | 'bad_signature'
  | 'revoked'
  | 'expired'
  | 'replayed'
  | 'bad_token'
  | 'body_too_large';

export const authOutcomes: readonly AuthOutcome[] = [
  'success',
  'missing',
  'malformed',
  'not_accepted',
  'unknown',
  'wrong_kind',
  'bad_signature',
  'revoked',
  'expired',
  'replayed',
  'bad_token',
  'body_too_large',
];

/** One counter for each outcome, so that counting is an addition. */
export type AuthAttempts = Readonly<Record<AuthOutcome, CounterCell>>;

export function countAuthAttempts(metrics: Metrics): AuthAttempts {
  const counter = metrics.counter('api_key_auth_attempts_total', 'Attempts to authenticate.', ['outcome']);
  return Object.fromEntries(
    authOutcomes.map((outcome) => [outcome, counter(outcome)]),
  ) as unknown as AuthAttempts;
}
