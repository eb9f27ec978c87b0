/**
 * What does a request cost, beside nginx proxy_pass?
 *
 * Contenders take turns, round after round, so that a noisy moment hits all of them. Each has core 0 to itself; the load
 * generator and the upstream (nginx answering from memory) share core 1. CPU time is that of the contender's own
 * processes, which other load on the machine disturbs far less than it disturbs rates and latencies.
 *
 * Arguments: --rounds N (5), --seconds N (3), --connections N (32), --only NAME.
 */
import { startTollgate } from '../test/support/command-line.ts';
import { startNginx } from '../test/support/nginx.ts';
import { type LoadRequest, type LoadResult, runLoad } from './support/load.ts';
import { listTree, pin, readCpuUs, readMemoryMib } from './support/processor.ts';

interface Contender {
  readonly name: string;
  readonly pid: number;
  readonly request: LoadRequest;
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
  if (result.errors > 0) throw new Error(`${contender.name}: ${result.errors} errors`);
  contender.rounds.push({ ...result, cpuUs });
}

function print(contenders: readonly Contender[]): void {
  const base = median(contenders[0]!.rounds.map(({ cpuUs }) => cpuUs));
  const rows = contenders.map(({ name, pid, rounds }) => {
    const of = (pick: (round: (typeof rounds)[number]) => number): number => median(rounds.map(pick));
    const cpuUs = of((round) => round.cpuUs);
    const memory = listTree(pid).reduce((sum, id) => sum + readMemoryMib(id), 0);
    return [
      name,
      Math.round(of((round) => round.requestsPerSecond)).toString(),
      of((round) => round.p50Ms).toFixed(2),
      of((round) => round.p99Ms).toFixed(2),
      cpuUs.toFixed(1),
      `${(cpuUs / base).toFixed(2)} ×`,
      `${Math.round(memory)}`,
    ];
  });
  const header = ['', 'requests/s', 'p50 ms', 'p99 ms', 'CPU µs/request', 'of nginx', 'MiB'];
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  console.log([header, ...rows].map(line).join('\n'));
}

async function startOpenGateway(name: string, upstream: string, env: NodeJS.ProcessEnv): Promise<Contender> {
  const gateway = startTollgate(
    [
      ...['gateway', '--upstream', upstream, '--open', '--listen', '0', '--admin-port', '0'],
      ...['--workers', '1', '--json'],
    ],
    { env },
  );
  const urls = JSON.parse((await gateway.waitFor(/^\{"gateway".*$/m))[0]) as { gateway: string };
  return {
    name,
    pid: gateway.pid,
    request: {
      url: `${urls.gateway}/v1/payments`,
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    },
    rounds: [],
  };
}

const args = process.argv.slice(2);
const rounds = readOption(args, 'rounds', 5);
const seconds = readOption(args, 'seconds', 3);
const connections = readOption(args, 'connections', 32);
const upstream = await startNginx({
  server: `location / { default_type application/json; return 200 '{"id":"pay_1","object":"payment","amount":1000}'; }`,
});
await pin(upstream.process.pid, loadCore);
const nginx = await startNginx({
  http: `upstream payments { server 127.0.0.1:${upstream.port}; keepalive 64; keepalive_requests 1000000; }`,
  server: `location / { proxy_pass http://payments; proxy_http_version 1.1; proxy_set_header Connection ""; }`,
});
const contenders: Contender[] = [
  {
    name: 'nginx proxy_pass',
    pid: nginx.process.pid,
    request: {
      url: `${nginx.url}/v1/payments`,
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    },
    rounds: [],
  },
  await startOpenGateway('plain proxy', upstream.url, { TOLLGATE_ACCESS_LOG: 'off' }),
];
for (const { pid } of contenders) await pin(pid, contenderCore);
// One unmeasured round each lets compilers and connection pools settle.
for (const contender of contenders) await runRound(contender, seconds, connections);
for (const contender of contenders) contender.rounds.length = 0;
for (let round = 0; round < rounds; round++) {
  for (const contender of contenders) await runRound(contender, seconds, connections);
}
print(contenders);
process.exit(0);
