import { randomBytes } from 'node:crypto';
import type { LocalLimiter } from '../local/local-limiter.ts';
import { mainMember } from '../memory/reclaim.ts';
import type { OpenedLimits, OpenLimitsOptions } from '../open-limits.ts';
import { AwayPolicy } from './away-policy.ts';
import { Census } from './census.ts';
import { ExactLimiter } from './exact-limiter.ts';
import { LeasedLimiter } from './leased-limiter.ts';
import { RedisLink } from './redis-link.ts';

const connectMs = 1000;

/** Connects a worker to the ledger. Without an answer in a second it begins as if Redis were away. */
export async function openRedisLimits(
  options: OpenLimitsOptions,
  url: string,
  local: LocalLimiter,
): Promise<OpenedLimits> {
  const { settings, memory, member, metrics, log } = options;
  const first = member === mainMember + 1;
  const action = settings.whenRedisIsAway ?? 'local';
  const link = new RedisLink({
    url,
    onChange: (server, away, detail) => {
      // All workers see the same; one of them says so.
      if (!first) return;
      if (away)
        log('warn', 'Redis is away: limits are decided without it', { server, detail, policy: action });
      else log('info', 'Redis is back: limits are decided with it', { server, detail });
    },
  });
  const census = new Census(link, memory.id);
  const away = new AwayPolicy({ action, local, liveGateways: options.liveGateways ?? (() => census.live) });
  const shared = {
    ...{ link, away, budgetMs: settings.budgetMs ?? 25, leaseMs: settings.leaseMs ?? 5000 },
    // A replaced worker is another holder: what its predecessor held is not its to spend.
    holder: `${memory.id}-${member}-${randomBytes(4).toString('hex')}`,
    ...(options.onThreshold && { onThreshold: options.onThreshold }),
  };
  const limiter = settings.mode === 'exact' ? new ExactLimiter(shared) : new LeasedLimiter(shared);

  const collect = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    labelNames: readonly string[],
    values: () => readonly (readonly [label: string, value: number])[],
  ): void => {
    metrics.collected(`tollgate_limiter_${name}`, type, help, labelNames, () =>
      values().map(([label, value]) => ({ labels: labelNames.length > 0 ? [label] : [], values: [value] })),
    );
  };
  collect('redis_away', 'gauge', 'Redis servers that a worker cannot reach, over all workers.', [], () => [
    ['', link.awayServers],
  ]);
  collect('redis_calls_total', 'counter', 'Script calls to Redis.', ['script'], () =>
    Object.entries(link.calls),
  );
  collect('redis_failures_total', 'counter', 'Calls to Redis that failed.', [], () => [['', link.failures]]);
  collect('decisions_total', 'counter', 'Limit decisions by where they were made.', ['by'], () =>
    limiter instanceof LeasedLimiter
      ? [
          ['lease', limiter.immediate],
          ['waiting', limiter.waited],
          ['alone', limiter.alone],
        ]
      : [
          ['waiting', limiter.decided],
          ['alone', away.decisions],
        ],
  );
  if (limiter instanceof LeasedLimiter) {
    collect('stranded_tokens', 'gauge', 'Leased and not spent.', [], () => [['', limiter.stranded()]]);
  }

  await link.ready(connectMs);
  await census.beat();
  return {
    limiter,
    close: async () => {
      await census.leave();
      await limiter.close();
    },
  };
}
