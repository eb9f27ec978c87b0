/**
 * What does a request cost, beside nginx proxy_pass?
 *
 * Contenders take turns, round after round, so that a noisy moment hits all of them. Each has core 0 to itself; the load
 * generator and the upstream (nginx answering from memory) share core 1. CPU time is that of the contender's own
 * processes, which other load on the machine disturbs far less than it disturbs rates and latencies.
 *
 * Arguments: --rounds N (5), --seconds N (3), --connections N (32), --only NAME.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startNginx } from '../test/support/nginx.ts';
import { makeFolder } from '../test/support/temporary-folder.ts';
import { type LoadRequest, type LoadResult, runLoad } from './support/load.ts';
import { startPolicyGateway, startUsageSink } from './support/policy-setup.ts';
import { listTree, pin, readCpuUs, readMemoryMib } from './support/processor.ts';

interface Contender {
  readonly name: string;
  readonly pid: number;
  readonly request: LoadRequest;
  /** What it is compared with; null for those that are the measure. */
  readonly beside: string | null;
  /** Every answer is a refusal, which the load generator counts as an error. */
  readonly refuses: boolean;
  readonly rounds: (LoadResult & { cpuUs: number })[];
}

const body = JSON.stringify({
  amount: 1000,
  currency: 'XOF',
  description: 'Order 4711',
  metadata: { cart: 'b7' },
});
const contenderCore = 0;
const loadCore = 1;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function readOption(args: readonly string[], name: string, fallback: number): number {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(args[at + 1]);
}

async function runRound(contender: Contender, seconds: number, connections: number): Promise<void> {
  const pids = listTree(contender.pid);
  const cpu = (): number => pids.reduce((sum, pid) => sum + readCpuUs(pid), 0);
  const before = cpu();
  const result = await runLoad(contender.request, { connections, seconds, core: loadCore });
  const cpuUs = (cpu() - before) / result.requests;
  if (result.errors > 0 && !contender.refuses) throw new Error(`${contender.name}: ${result.errors} errors`);
  contender.rounds.push({ ...result, cpuUs });
}

function print(contenders: readonly Contender[]): void {
  const costOf = (name: string): number =>
    median(contenders.find((each) => each.name === name)!.rounds.map(({ cpuUs }) => cpuUs));
  const rows = contenders.map(({ name, pid, rounds, beside }) => {
    const of = (pick: (round: (typeof rounds)[number]) => number): number => median(rounds.map(pick));
    const cpuUs = of((round) => round.cpuUs);
    const memory = listTree(pid).reduce((sum, id) => sum + readMemoryMib(id), 0);
    return [
      name,
      Math.round(of((round) => round.requestsPerSecond)).toString(),
      of((round) => round.p50Ms).toFixed(2),
      of((round) => round.p99Ms).toFixed(2),
      cpuUs.toFixed(1),
      beside === null ? '' : `${(cpuUs / costOf(beside)).toFixed(2)} ×`,
      `${Math.round(memory)}`,
    ];
  });
  const header = ['', 'requests/s', 'p50 ms', 'p99 ms', 'CPU µs/request', 'of nginx', 'MiB'];
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  console.log([header, ...rows].map(line).join('\n'));
}

const args = process.argv.slice(2);
const rounds = readOption(args, 'rounds', 5);
const seconds = readOption(args, 'seconds', 3);
const connections = readOption(args, 'connections', 32);
const only = args.includes('--only') ? args[args.indexOf('--only') + 1]! : '';

const large = makeFolder('large');
writeFileSync(join(large, 'large'), Buffer.alloc(1 << 20, 'tollgate '));
const upstream = await startNginx({
  server: `location / { default_type application/json; return 200 '{"id":"pay_1","object":"payment","amount":1000}'; }
    location = /large { root ${large}; }`,
});
await pin(upstream.process.pid, loadCore);
const nginx = await startNginx({
  http: `upstream payments { server 127.0.0.1:${upstream.port}; keepalive 128; keepalive_requests 1000000; }`,
  server: `location / { proxy_pass http://payments; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location /refused { default_type application/json; return 401 '{"code":"credentials_invalid"}'; }`,
});
const plain = await startPolicyGateway(upstream.url, null);
const policies = await startPolicyGateway(upstream.url, await startUsageSink());

const clientHeaders = {
  'User-Agent': 'bench/1.0 (x86_64)',
  Accept: 'application/json',
  'Accept-Encoding': 'gzip, br',
  'Accept-Language': 'fr',
  'X-Correlation-Id': '7f3c1d9e0a4b',
};

function contend(
  name: string,
  beside: string | null,
  server: { readonly url: string; readonly process: { readonly pid: number } },
  path: string,
  headers: Readonly<Record<string, string>> = {},
  sent = '',
): Contender {
  const url = `${server.url}${path}`;
  const method = sent === '' ? 'GET' : 'POST';
  const request = { url, method, headers: { ...clientHeaders, ...headers }, body: sent };
  const refuses = /40|42|refus/.test(name);
  return { name, beside, pid: server.process.pid, request, refuses, rounds: [] };
}

const json = { 'Content-Type': 'application/json' };
const all: Contender[] = [
  contend('nginx proxy_pass', null, nginx, '/v1/payments'),
  contend('plain proxy', 'nginx proxy_pass', plain, '/v1/payments'),
  contend('all policies', 'nginx proxy_pass', policies, '/v1/payments', { Authorization: policies.bearer }),
  contend('nginx proxy_pass POST', null, nginx, '/v1/payments', json, body),
  contend('plain proxy POST', 'nginx proxy_pass POST', plain, '/v1/payments', json, body),
  contend(
    'all policies, HMAC',
    'nginx proxy_pass POST',
    policies,
    '/v1/payments',
    { ...json, 'X-API-Key': policies.sign(body) },
    body,
  ),
  contend('nginx return 401', null, nginx, '/refused'),
  contend('refusal 401', 'nginx return 401', policies, '/v1/payments'),
  contend('refusal 429', 'nginx return 401', policies, '/v1/payments', { Authorization: policies.exhausted }),
  contend('nginx 1 MB', null, nginx, '/large'),
  contend('plain 1 MB', 'nginx 1 MB', plain, '/large'),
];
const chosen = all.filter(({ name }) => name.includes(only));
const contenders = all.filter(
  (each) => chosen.includes(each) || chosen.some(({ beside }) => beside === each.name),
);
for (const pid of new Set(contenders.map((each) => each.pid))) await pin(pid, contenderCore);
// One unmeasured round each lets compilers and connection pools settle.
for (const contender of contenders) await runRound(contender, seconds, connections);
for (const contender of contenders) contender.rounds.length = 0;
for (let round = 0; round < rounds; round++) {
  for (const contender of contenders) await runRound(contender, seconds, connections);
}
print(contenders);
process.exit(0);
