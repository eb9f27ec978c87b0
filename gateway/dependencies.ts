import type { ResponseCache } from './cache/response-cache.ts';
import type { FailureThrottle } from './credentials/failure-throttle.ts';
import type { KeyLookup } from './credentials/key-lookup.ts';
import type { NonceStore } from './credentials/nonces.ts';
import type { Tokens } from './credentials/tokens.ts';
import type { Limiter } from './limits/limiter.ts';
import type { Policy, PolicyTools } from './policies/policy.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { Forwarder } from './upstream/forwarder.ts';

/** What phase factories may use: the long-lived parts of one worker. */
export interface Dependencies {
  readonly keys: KeyLookup;
  readonly nonces: NonceStore;
  readonly tokens: Tokens;
  readonly failures: FailureThrottle;
  readonly limiter: Limiter;
  readonly forwarder: Forwarder;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly maxSignedBodyBytes: number;
  /** Whether proxies may ask for decisions. */
  readonly decisions: boolean;
  readonly metrics: Metrics;
  /** The operator's own policies by name. */
  readonly policies: ReadonlyMap<string, Policy>;
  readonly policyTools: PolicyTools;
  readonly cache: ResponseCache;
}
