import type { LimiterSettings } from '#contract/limiter-settings.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Limiter, ThresholdSink } from './limiter.ts';
import { LocalLimiter } from './local/local-limiter.ts';
import type { LimiterMemory } from './memory/memory.ts';

export interface OpenLimitsOptions {
  readonly settings: LimiterSettings;
  readonly redisUrl: string | null;
  readonly memory: LimiterMemory;
  /** This worker's number in the memory. */
  readonly member: number;
  readonly metrics: Metrics;
  /** Called once when Redis goes away and once when it is back. */
  readonly log: (level: 'info' | 'warn', message: string, details: object) => void;
  readonly onThreshold?: ThresholdSink;
  /** How many gateways are alive, if somebody knows better than the ledger. */
  readonly liveGateways?: () => number;
}

export interface OpenedLimits {
  readonly limiter: Limiter;
  /** Returns what is leased, and disconnects. */
  close(): Promise<void>;
}

/** The limiter of one worker: in-process, or with Redis as the common ledger of a fleet. */
export async function openLimits(options: OpenLimitsOptions): Promise<OpenedLimits> {
  const { settings, redisUrl, memory, member, metrics } = options;
  const thresholds = metrics.counter(
    'tollgate_quota_thresholds_total',
    'Quotas that have reached 80, 90 or 100 per cent, once in their period.',
    ['percent'],
  );
  const onThreshold: ThresholdSink = (event) => {
    thresholds(String(event.percent)).value++;
    options.onThreshold?.(event);
  };
  const local = new LocalLimiter(memory, member, onThreshold);
  metrics.collected(
    'tollgate_limiter_displaced_total',
    'counter',
    'Buckets forgotten before they were full again, for want of room.',
    [],
    () => [{ labels: [], values: [local.table.displaced] }],
  );
  if (redisUrl === null || settings.mode === 'local') {
    return { limiter: local, close: async () => undefined };
  }
  // Loaded only where it is used: the client takes memory and time to start.
  const { openRedisLimits } = await import('./redis/open-redis-limits.ts');
  return await openRedisLimits({ ...options, onThreshold }, redisUrl, local);
}
