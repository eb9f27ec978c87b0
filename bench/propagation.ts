/**
 * How long until a revocation or a new quota is in force at the gateways?
 *
 * A control plane on a private PostgreSQL (with fsync) holds many imported keys; gateways follow it. Bearer keys are
 * revoked one after the other: `in force` is the time from the control plane's reply, with which the change is
 * committed, to the first 401 that a gateway answers to a request with the key; `from the request` counts from sending
 * the revocation. Quotas are changed by plain SQL, and timed until their delta is on a registry stream.
 *
 * Arguments: --keys N (100000), --changes N (1000), --gateways N (2).
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startTollgate } from '../test/support/command-line.ts';
import { startPostgres } from '../test/support/postgres.ts';
import { makeFolder, removeFolder } from '../test/support/temporary-folder.ts';

const args = process.argv.slice(2);
const option = (name: string, fallback: number): number => {
  const at = args.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(args[at + 1]);
};
const keys = option('keys', 100_000);
const changes = option('changes', 1000);
const gatewayCount = option('gateways', 2);
/** Asking without a pause would take the processor from what is measured. */
const pollMs = 2;
const token = 'token-of-the-propagation-benchmark';
const folder = makeFolder('bench');

const keyIdOf = (n: number): string => `ak_live_bench${n.toString(36).padStart(12, '0')}`;
const secretOf = (n: number): string => `secret-of-the-benchmark-${n}`;

function* importLines(): Generator<Buffer> {
  for (let n = 0; n < keys; ) {
    let text = '';
    for (let i = 0; i < 500 && n < keys; i++, n++) {
      const sha256 = createHash('sha256').update(secretOf(n)).digest('hex');
      text += `${JSON.stringify({ key_id: keyIdOf(n), sha256, app: `app-${n % 1000}` })}\n`;
    }
    yield Buffer.from(text);
  }
}

function report(name: string, times: number[]): void {
  times.sort((a, b) => a - b);
  const at = (share: number): string =>
    `${times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(1)} ms`;
  console.log(
    `  ${name.padEnd(34)} p50 ${at(0.5)}, p99 ${at(0.99)}, worst ${at(1)} (${times.length} changes)`,
  );
}

async function call(url: string, method: string, path: string, body?: unknown): Promise<Response> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

/** Asks a gateway over one connection. */
function statusOf(agent: Agent, url: string, secret: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      `${url}/v1`,
      { agent, headers: { authorization: `Bearer ${secret}` } },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode!));
      },
    );
    asked.on('error', reject);
    asked.end();
  });
}

const upstream = createServer((_request, response) => response.end('ok')).listen(0, '127.0.0.1');
await once(upstream, 'listening');
const postgres = await startPostgres({ durable: true });
const databaseUrl = await postgres.createDatabase();
const environment = {
  TOLLGATE_OPERATOR_TOKEN: token,
  TOLLGATE_GATEWAY_TOKEN: token,
  TOLLGATE_REQUESTS_PER_MINUTE: '1000000',
  TOLLGATE_LOG_LEVEL: 'error',
  TOLLGATE_ACCESS_LOG: 'off',
  DATABASE_URL: databaseUrl,
  TOLLGATE_WORKERS: '1',
};
const control = startTollgate(
  ['control-plane', '--port', '0', '--data-dir', join(folder, 'control'), '--json'],
  {
    env: environment,
  },
);
const { control: url } = JSON.parse((await control.waitFor(/^\{"control".*$/m))[0]) as { control: string };

let startedAt = performance.now();
const imported = await fetch(`${url}/admin/v1/keys:import`, {
  method: 'POST',
  headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' },
  body: Readable.toWeb(Readable.from(importLines())) as ReadableStream,
  duplex: 'half',
} as RequestInit);
if (!imported.ok) throw new Error(await imported.text());
const importSeconds = (performance.now() - startedAt) / 1000;
console.log(
  `${keys} keys imported in ${importSeconds.toFixed(1)} s: ${Math.round(keys / importSeconds)} a second`,
);

const target = { url: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` };
await call(url, 'POST', '/admin/v1/configuration:apply', {
  resources: {
    services: [{ id: 's', targets: { live: [target] } }],
    routes: [{ id: 'r', service: 's', path: '/v1', authentication: { accept: ['bearer'] } }],
  },
});
startedAt = performance.now();
const gateways = await Promise.all(
  Array.from({ length: gatewayCount }, async (_, n) => {
    const running = startTollgate(
      [
        'gateway',
        '--control',
        url,
        '--data-dir',
        join(folder, `gateway-${n}`),
        '--listen',
        '0',
        '--admin-port',
        '0',
        '--workers',
        '1',
        '--json',
      ],
      { env: environment },
    );
    const line = (await running.waitFor(/^\{"gateway".*$/m, 120_000))[0];
    return {
      running,
      url: (JSON.parse(line) as { gateway: string }).gateway,
      agent: new Agent({ keepAlive: true, maxSockets: 1 }),
    };
  }),
);
for (const gateway of gateways) {
  while ((await statusOf(gateway.agent, gateway.url, secretOf(keys - 1))) !== 200) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
console.log(
  `${gatewayCount} gateways have them after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
);

const inForce: number[] = [];
const sinceRequest: number[] = [];
for (let n = 0; n < changes; n++) {
  const at = (n * 7919) % (keys - 1);
  const sentAt = performance.now();
  let repliedAt = Number.POSITIVE_INFINITY;
  const revoked = call(url, 'POST', `/api/dev/keys/${keyIdOf(at)}/revoke`, {}).then(async (response) => {
    repliedAt = performance.now();
    await response.arrayBuffer();
  });
  const refusedAt = await Promise.all(
    gateways.map(async (gateway) => {
      while ((await statusOf(gateway.agent, gateway.url, secretOf(at))) !== 401) await delay(pollMs);
      return performance.now();
    }),
  );
  await revoked;
  const last = Math.max(...refusedAt);
  inForce.push(Math.max(0, last - repliedAt));
  sinceRequest.push(last - sentAt);
}
console.log(`revocations with ${keys} keys, until the last of ${gatewayCount} gateways refuses:`);
report('in force after the reply', inForce);
report('from the request', sinceRequest);

const stream = await fetch(`${url}/registry/v1/stream?from=999999999999999`, {
  headers: { authorization: `Bearer ${token}` },
});
const arrivals = new Map<string, number>();
const { promise: caughtUp, resolve: ready } = Promise.withResolvers<void>();
void (async () => {
  let rest = '';
  for await (const chunk of stream.body!) {
    const now = performance.now();
    const lines = (rest + Buffer.from(chunk).toString('latin1')).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith('{"type":"snapshot_end"')) ready();
      if (!line.startsWith('{"type":"delta"')) continue;
      for (const [, id] of line.matchAll(/"id":"(ak_live_bench[0-9a-z]+)"/g)) arrivals.set(id!, now);
    }
  }
})().catch(() => {});
await caughtUp;
const sql = new pg.Client({ connectionString: databaseUrl });
await sql.connect();
const quotas: number[] = [];
for (let n = 0; n < changes; n++) {
  const id = keyIdOf((n * 7907 + 1) % keys);
  await sql.query('UPDATE api_key_quotas SET burst_limit = $2 WHERE key_id = $1', [id, 1000 + n]);
  const committedAt = performance.now();
  while (!arrivals.has(id)) await delay(1);
  quotas.push(Math.max(0, arrivals.get(id)! - committedAt));
  arrivals.delete(id);
}
console.log('quotas changed by SQL, until a gateway has the delta:');
report('after the commit', quotas);

await sql.end();
for (const { running, agent } of gateways) {
  agent.destroy();
  await running.stop();
}
await control.stop();
await postgres.stop();
upstream.close();
removeFolder(folder);
process.exit(0);
