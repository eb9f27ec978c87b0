/**
 * What does a cache hit cost, and what does a stampede do to the origin, beside nginx proxy_cache?
 *
 * `cache-hit`: contenders take turns, each with core 0 to itself; the load generator has core 1. Every request is
 * answered from memory (nginx: from the page cache). `stampede`: so many clients ask for one new resource at once; the
 * origin takes its time and counts.
 *
 * Arguments: --rounds N (5), --seconds N (3), --connections N (32), --clients N (1000).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startTollgate } from '../test/support/command-line.ts';
import { startNginx } from '../test/support/nginx.ts';
import { makeFolder, removeFolder } from '../test/support/temporary-folder.ts';
import { startUpstream } from '../test/support/upstream.ts';
import { connectWire } from '../test/support/wire-client.ts';
import { runLoad } from './support/load.ts';
import { listTree, pin, readCpuUs, readMemoryMib } from './support/processor.ts';

interface Contender {
  readonly name: string;
  readonly pid: number;
  readonly url: string;
  stop(): Promise<unknown>;
}

const contenderCore = 0;
const loadCore = 1;
const sizes = [200, 10_000];
const originDelayMs = 100;

function readOption(args: readonly string[], name: string, fallback: number): number {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(args[at + 1]);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

function print(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  console.log(`\n${[header, ...rows].map(line).join('\n')}`);
}

async function startNginxCache(origin: string, folder: string, lock: boolean): Promise<Contender> {
  mkdirSync(folder, { recursive: true });
  const nginx = await startNginx({
    http: `proxy_cache_path ${folder} keys_zone=c:10m max_size=200m inactive=1h;
upstream origin { server ${new URL(origin).host}; keepalive 64; keepalive_requests 1000000; }`,
    server: `location / { proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
proxy_cache c; proxy_cache_lock ${lock ? 'on' : 'off'}; add_header X-Cache $upstream_cache_status; }`,
  });
  return {
    name: lock ? 'nginx proxy_cache, lock on' : 'nginx proxy_cache',
    pid: nginx.process.pid,
    url: nginx.url,
    stop: () => nginx.stop(),
  };
}

async function startTollgateCache(origin: string, workers: number): Promise<Contender> {
  const gateway = startTollgate(
    [
      ...['gateway', '--upstream', origin, '--open', '--cache', '--listen', '0', '--admin-port', '0'],
      ...['--workers', String(workers), '--json'],
    ],
    { env: { TOLLGATE_ACCESS_LOG: 'off' } },
  );
  const urls = JSON.parse((await gateway.waitFor(/^\{"gateway".*$/m))[0]) as { gateway: string };
  return {
    name: `tollgate, ${workers} worker${workers > 1 ? 's' : ''}`,
    pid: gateway.pid,
    url: urls.gateway,
    stop: () => gateway.stop('SIGTERM'),
  };
}

function cpuUs(pid: number): number {
  return listTree(pid).reduce((sum, id) => sum + readCpuUs(id), 0);
}

async function compareHits(args: readonly string[]): Promise<void> {
  const rounds = readOption(args, 'rounds', 5);
  const seconds = readOption(args, 'seconds', 3);
  const connections = readOption(args, 'connections', 32);
  const folder = makeFolder('proxy-cache');
  mkdirSync(join(folder, 'origin'));
  for (const size of sizes) writeFileSync(join(folder, 'origin', String(size)), 'x'.repeat(size));
  const origin = await startNginx({
    server: `root ${folder}/origin; default_type text/plain; add_header Cache-Control max-age=36000;`,
  });
  const contenders = [
    await startNginxCache(origin.url, join(folder, 'hit'), false),
    await startTollgateCache(origin.url, 1),
  ];
  for (const { pid } of contenders) await pin(pid, contenderCore);
  const rows: string[][] = [];
  for (const size of sizes) {
    const results = contenders.map(() => [] as { cpu: number; rate: number; p99: number }[]);
    for (let round = -1; round < rounds; round++) {
      for (const [at, { pid, url, name }] of contenders.entries()) {
        const before = cpuUs(pid);
        const request = {
          url: `${url}/${size}`,
          method: 'GET',
          headers: { Accept: '*/*', 'Accept-Encoding': 'gzip', 'User-Agent': 'bench' },
          body: '',
        };
        const result = await runLoad(request, { connections, seconds, core: loadCore });
        if (result.errors > 0) throw new Error(`${name}: ${result.errors} errors`);
        // The first round lets compilers settle and fills the caches.
        if (round < 0) continue;
        results[at]!.push({
          cpu: (cpuUs(pid) - before) / result.requests,
          rate: result.requestsPerSecond,
          p99: result.p99Ms,
        });
      }
    }
    const base = median(results[0]!.map(({ cpu }) => cpu));
    for (const [at, { name, pid }] of contenders.entries()) {
      const cpu = median(results[at]!.map((round) => round.cpu));
      rows.push([
        `cache-hit ${size} B, ${name}`,
        Math.round(median(results[at]!.map(({ rate }) => rate))).toString(),
        median(results[at]!.map(({ p99 }) => p99)).toFixed(2),
        cpu.toFixed(1),
        `${(cpu / base).toFixed(2)} ×`,
        Math.round(listTree(pid).reduce((sum, id) => sum + readMemoryMib(id), 0)).toString(),
      ]);
    }
  }
  print(['', 'requests/s', 'p99 ms', 'CPU µs/request', 'of nginx', 'MiB'], rows);
  for (const contender of contenders) await contender.stop();
  await origin.stop();
  removeFolder(folder);
}

async function compareStampedes(args: readonly string[]): Promise<void> {
  const clients = readOption(args, 'clients', 1000);
  const origin = await startUpstream((_request, socket) => {
    setTimeout(() => {
      socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nhello');
    }, originDelayMs);
  });
  const folder = makeFolder('proxy-cache');
  const contenders = [
    await startNginxCache(origin.url, join(folder, 'off'), false),
    await startNginxCache(origin.url, join(folder, 'on'), true),
    await startTollgateCache(origin.url, 1),
    await startTollgateCache(origin.url, 2),
  ];
  const rows: string[][] = [];
  for (const contender of contenders) {
    const { name, url } = contender;
    const wires = [];
    while (wires.length < clients) {
      const batch = Math.min(100, clients - wires.length);
      wires.push(...(await Promise.all(Array.from({ length: batch }, () => connectWire(url)))));
    }
    origin.requests.length = 0;
    const began = performance.now();
    const times = await Promise.all(
      wires.map(async (wire) => {
        wire.send('GET /stampede HTTP/1.1\r\nHost: bench\r\n\r\n');
        const response = await wire.readResponse();
        if (response.body.toString() !== 'hello') throw new Error(`${name} answered ${response.status}`);
        return performance.now() - began;
      }),
    );
    times.sort((a, b) => a - b);
    rows.push([
      `stampede of ${clients}, ${name}`,
      origin.requests.length.toString(),
      median(times).toFixed(0),
      times.at(-1)!.toFixed(0),
    ]);
    for (const wire of wires) wire.destroy();
    await contender.stop();
  }
  print(['', 'requests at the origin', 'median ms', 'last ms'], rows);
  await origin.stop();
  removeFolder(folder);
}

const args = process.argv.slice(2);
await compareHits(args);
await compareStampedes(args);
process.exit(0);
