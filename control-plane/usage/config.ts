/** How usage is taken in and kept. */
export interface UsageConfig {
  /** Days that single events are kept. */
  readonly eventDays: number;
  readonly minuteDays: number;
  readonly hourDays: number;
  readonly dayDays: number;
  /** How old a batch may be when it arrives; for so long it is remembered which were counted. */
  readonly maxBatchAgeDays: number;
  /** Consume batches from a Redis stream; null: don't. */
  readonly redis: { readonly url: string; readonly stream: string } | null;
  /** Consume batches from Kafka; null: don't. */
  readonly kafka: { readonly brokers: readonly string[]; readonly topic: string } | null;
}

export const defaultUsage: UsageConfig = {
  eventDays: 90,
  minuteDays: 7,
  hourDays: 90,
  dayDays: 1095,
  maxBatchAgeDays: 35,
  redis: null,
  kafka: null,
};

/**
 * Reads `TOLLGATE_USAGE_EVENT_DAYS`, `…_MINUTE_DAYS`, `…_HOUR_DAYS`, `…_DAY_DAYS`, `TOLLGATE_USAGE_REDIS_URL`,
 * `TOLLGATE_USAGE_STREAM`, `TOLLGATE_USAGE_KAFKA_BROKERS` and `TOLLGATE_USAGE_TOPIC`; adds what is wrong to `errors`.
 */
export function readUsageConfig(
  env: Readonly<Record<string, string | undefined>>,
  errors: string[],
): UsageConfig {
  const days = (name: string, fallback: number): number => {
    const text = env[name]?.trim();
    if (!text) return fallback;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= 1 && value <= 36_500) return value;
    errors.push(`${name} must be a number of days from 1 to 36500, not ${JSON.stringify(text)}`);
    return fallback;
  };
  const redisUrl = env.TOLLGATE_USAGE_REDIS_URL?.trim();
  if (redisUrl && !/^rediss?:\/\//.test(redisUrl)) {
    errors.push('TOLLGATE_USAGE_REDIS_URL must be a redis:// or rediss:// address');
  }
  const brokers = env.TOLLGATE_USAGE_KAFKA_BROKERS?.split(/[\s,]+/).filter(Boolean) ?? [];
  return {
    eventDays: days('TOLLGATE_USAGE_EVENT_DAYS', defaultUsage.eventDays),
    minuteDays: days('TOLLGATE_USAGE_MINUTE_DAYS', defaultUsage.minuteDays),
    hourDays: days('TOLLGATE_USAGE_HOUR_DAYS', defaultUsage.hourDays),
    dayDays: days('TOLLGATE_USAGE_DAY_DAYS', defaultUsage.dayDays),
    maxBatchAgeDays: defaultUsage.maxBatchAgeDays,
    redis: redisUrl ? { url: redisUrl, stream: env.TOLLGATE_USAGE_STREAM?.trim() || 'tollgate:usage' } : null,
    kafka:
      brokers.length > 0 ? { brokers, topic: env.TOLLGATE_USAGE_TOPIC?.trim() || 'usage.api-gateway' } : null,
  };
}
