/**
 * What does a limit decision cost, in-process, leased and exact?
 *
 * First the decision alone: a loop over 64 keys with the default plan's limits, at a rate that leases can follow. Then
 * whole gateways under the same load (wrk, one key in a plan that is not reached): CPU time of the gateway process by
 * request, latency, and what Redis was asked. Last, with --fleet, four gateway processes, one Redis and the default plan
 * under twenty times its sustained rate for a minute of real time.
 *
 * Arguments: --rounds N (3), --seconds N (3), --connections N (32), --fleet, --only-fleet.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashSecret } from '#contract/key-push.ts';
import { defaultLimits } from '#contract/limits.ts';
import { type Limiter, LimitSet } from '../gateway/limits/limiter.ts';
import { LocalLimiter } from '../gateway/limits/local/local-limiter.ts';
import { createLimiterMemory } from '../gateway/limits/memory/memory.ts';
import { AwayPolicy } from '../gateway/limits/redis/away-policy.ts';
import { ExactLimiter } from '../gateway/limits/redis/exact-limiter.ts';
import { LeasedLimiter } from '../gateway/limits/redis/leased-limiter.ts';
import { RedisLink } from '../gateway/limits/redis/redis-link.ts';
import { startTollgate } from '../test/support/command-line.ts';
import { startNginx } from '../test/support/nginx.ts';
import { startRedis } from '../test/support/redis.ts';
import { makeFolder } from '../test/support/temporary-folder.ts';
import { runLoad } from './support/load.ts';
import { listTree, pin, readCpuUs } from './support/processor.ts';

type Mode = 'none' | 'local' | 'leased' | 'exact';

const args = process.argv.slice(2);
const option = (name: string, fallback: number): number => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(args[at + 1]);
};
const rounds = option('rounds', 3);
const seconds = option('seconds', 3);
const connections = option('connections', 32);
const secret = 'secret of the only partner here';
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

const plenty = `
plans:
  - id: default
    limits:
      - { kind: token_bucket, name: burst, capacity: 100000000, refill: 10000000, intervalMs: 1000 }
      - { kind: quota, name: daily, limit: 100000000000, period: day }
`;

interface Round {
  readonly cpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly rps: number;
  readonly n: number;
}

interface Running {
  readonly pid: number;
  readonly gateway: string;
  readonly admin: string;
  stop(): Promise<unknown>;
}

async function startGateway(mode: Mode, upstream: string, redisUrl: string, plans: string): Promise<Running> {
  const config = join(makeFolder(), 'tollgate.yaml');
  writeFileSync(
    config,
    `gateway:
  redisUrl: ${redisUrl}
  limiter: { mode: ${mode === 'none' ? 'local' : mode} }
${plans}
services:
  - { id: backend, targets: { live: [{ url: "${upstream}" }] } }
routes:
  - id: all
    service: backend
    path: /
    authentication: { accept: [bearer] }
    applyPlan: ${mode !== 'none'}
`,
  );
  const started = startTollgate(
    ['gateway', '--config', config, '--listen', '0', '--admin-port', '0', '--workers', '1', '--json'],
    { env: { API_KEYS: `partner:${hashSecret(secret)}:live`, TOLLGATE_ACCESS_LOG: 'off' } },
  );
  const urls = JSON.parse((await started.waitFor(/^\{"gateway".*$/m))[0]) as {
    gateway: string;
    admin: string;
  };
  return { ...urls, pid: started.pid, stop: () => started.stop() };
}

async function scrape(admin: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return new Map(
    text
      .split('\n')
      .filter((line) => line.startsWith('tollgate_limiter_'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  for (const row of [header, ...rows]) {
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    );
  }
}

/** CPU of this process and of its Redis client for each decision, at 40,000 decisions a second. */
async function measureDecisions(redisUrl: string): Promise<void> {
  const set = new LimitSet(
    defaultLimits.map((limit) =>
      limit.kind === 'token_bucket' ? { ...limit, capacity: 1e9, refill: 1e8 } : limit,
    ),
    [],
    'r',
  );
  const keys = Array.from({ length: 64 }, (_, i) => [`ak_live_benchmark${i}`, '', '', '', '', '', '']);
  const local = new LocalLimiter(createLimiterMemory(), 1);
  const makeLink = async (): Promise<RedisLink> => {
    // A busy machine is not an absent Redis.
    const link = new RedisLink({ url: redisUrl, detectMs: 10_000 });
    await link.ready(2000);
    return link;
  };
  const away = new AwayPolicy({ action: 'closed', local, liveGateways: () => 1 });
  const links = [await makeLink(), await makeLink()] as const;
  const limiters: [string, Limiter][] = [
    ['in-process', local],
    ['leased', new LeasedLimiter({ link: links[0], away, holder: 'bench-leased' })],
    ['exact', new ExactLimiter({ link: links[1], away, holder: 'bench-exact', budgetMs: 1000 })],
  ];
  const cost = async (limiter: Limiter): Promise<number> => {
    const before = process.cpuUsage();
    const batches = 1000;
    for (let batch = 0; batch < batches; batch++) {
      const pending: unknown[] = [];
      for (let i = 0; i < 40; i++) {
        const result = limiter.take(set, keys[(batch * 40 + i) & 63]!, 1, Date.now());
        if (result instanceof Promise) pending.push(result);
      }
      await (pending.length > 0 ? Promise.all(pending) : new Promise((resolve) => setImmediate(resolve)));
    }
    const used = process.cpuUsage(before);
    return (used.user + used.system) / (batches * 40);
  };
  const rows: string[][] = [];
  for (const [name, limiter] of limiters) {
    await cost(limiter);
    rows.push([name, median([await cost(limiter), await cost(limiter), await cost(limiter)]).toFixed(2)]);
  }
  console.log('The decision alone, two limits, 40 decisions in a turn of the event loop:');
  table(['', 'CPU µs/decision'], rows);
  for (const link of links) await link.close();
}

async function measureGateways(redisUrl: string): Promise<void> {
  const upstream = await startNginx({
    server: `location / { default_type application/json; return 200 '{"id":"pay_1"}'; }`,
  });
  await pin(upstream.process.pid, 1);
  const modes: Mode[] = ['none', 'local', 'leased', 'exact'];
  const running: { mode: Mode; gateway: Running; rounds: Round[] }[] = [];
  for (const mode of modes) {
    const gateway = await startGateway(mode, upstream.url, redisUrl, plenty);
    await pin(gateway.pid, 0);
    running.push({
      mode,
      gateway,
      rounds: [],
    });
  }
  const request = (url: string) => ({
    ...{ url: `${url}/v1/payments`, method: 'GET', body: '' },
    headers: { Authorization: `Bearer ${secret}` },
  });
  const before = new Map<Mode, Map<string, number>>();
  for (let round = -1; round < rounds; round++) {
    for (const one of running) {
      if (round === 0) before.set(one.mode, await scrape(one.gateway.admin));
      const pids = listTree(one.gateway.pid);
      const cpu = (): number => pids.reduce((sum, pid) => sum + readCpuUs(pid), 0);
      const cpuBefore = cpu();
      const result = await runLoad(request(one.gateway.gateway), { connections, seconds, core: 1 });
      if (result.errors > 0) throw new Error(`${one.mode}: ${result.errors} errors`);
      if (round < 0) continue;
      one.rounds.push({
        ...{ cpuUs: (cpu() - cpuBefore) / result.requests, n: result.requests },
        ...{ p50Ms: result.p50Ms, p99Ms: result.p99Ms, rps: result.requestsPerSecond },
      });
    }
  }
  const of = (one: (typeof running)[number], pick: (round: (typeof one.rounds)[number]) => number): number =>
    median(one.rounds.map(pick));
  const base = of(running[1]!, ({ cpuUs }) => cpuUs);
  const rows: string[][] = [];
  for (const one of running) {
    const counted = await scrape(one.gateway.admin);
    const grown = (part: string): number =>
      [...counted].reduce(
        (sum, [name, value]) =>
          sum + (name.includes(part) ? value - (before.get(one.mode)?.get(name) ?? 0) : 0),
        0,
      );
    const requests = one.rounds.reduce((sum, { n }) => sum + n, 0);
    const decisions = grown('decisions_total');
    const leased = grown('decisions_total{by="lease"}');
    rows.push([
      one.mode === 'none' ? 'no limits' : one.mode === 'local' ? 'in-process' : one.mode,
      Math.round(of(one, ({ rps }) => rps)).toString(),
      of(one, ({ p50Ms }) => p50Ms).toFixed(2),
      of(one, ({ p99Ms }) => p99Ms).toFixed(2),
      of(one, ({ cpuUs }) => cpuUs).toFixed(1),
      `${(of(one, ({ cpuUs }) => cpuUs) / base).toFixed(2)} ×`,
      leased === 0 ? '' : `${((100 * leased) / decisions).toFixed(2)} %`,
      ((1000 * grown('redis_calls_total')) / requests).toFixed(1),
    ]);
    await one.gateway.stop();
  }
  console.log('\nWhole gateways, one worker, one key:');
  const header = [
    '',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'CPU µs/request',
    'of in-process',
    'at once',
    'calls/1,000',
  ];
  table(header, rows);
  await upstream.stop();
}

/** Four processes, the default plan, 2,000 requests a minute for a minute. */
async function measureFleet(redisUrl: string): Promise<void> {
  const upstream = await startNginx({ server: `location / { return 200 'ok'; }` });
  const gateways = await Promise.all(
    Array.from({ length: 4 }, () => startGateway('leased', upstream.url, redisUrl, '')),
  );
  const startedAt = performance.now();
  let admitted = 0;
  let offered = 0;
  const pending: Promise<void>[] = [];
  const ask = async (url: string): Promise<void> => {
    const response = await fetch(url, { headers: { authorization: `Bearer ${secret}` } });
    await response.arrayBuffer();
    if (response.status === 200) admitted++;
  };
  while (performance.now() - startedAt < 60_000) {
    const due = ((performance.now() - startedAt) * 2000) / 60_000;
    for (; offered < due; offered++) pending.push(ask(`${gateways[offered % 4]!.gateway}/any`));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await Promise.all(pending);
  const elapsedS = (performance.now() - startedAt) / 1000;
  const ideal = Math.floor(600 + (elapsedS * 100) / 60);
  console.log('\nFour gateway processes, one Redis, one key, 600 burst and 100 a minute, for a minute:');
  table(
    ['offered', 'admitted', 'ideal', 'over', 'under'],
    [
      [
        ...[offered, admitted, ideal, Math.max(0, admitted - ideal)].map(String),
        `${((100 * Math.max(0, ideal - admitted)) / ideal).toFixed(2)} %`,
      ],
    ],
  );
  for (const gateway of gateways) await gateway.stop();
  await upstream.stop();
}

const redis = await startRedis();
await pin(redis.process.pid, 1);
if (!args.includes('--only-fleet')) {
  await measureDecisions(redis.url);
  await measureGateways(redis.url);
}
if (args.includes('--fleet') || args.includes('--only-fleet')) await measureFleet(redis.url);
await redis.stop();
process.exit(0);
