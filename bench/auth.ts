/**
 * What does it cost to know the caller, beside nginx proxy_pass?
 *
 * First through the whole gateway (log and metrics on, no limits), contenders taking turns: CPU time of the process by
 * request. Then the phase alone, in this process: what one credential costs, tokens also when they have not been seen.
 *
 * Arguments: --rounds N (3), --seconds N (2), --connections N (32).
 */
import { createHmac, generateKeyPairSync, hash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { mintSecret } from '#contract/keys.ts';
import type { Change, Key } from '#contract/registry.ts';
import { mintLocalKey, parseLocalKey, sealSecret, wrapDataKey } from '#contract/sealing.ts';
import { signatureHeaders } from '../client/index.ts';
import type { RouteContext } from '../gateway/compile.ts';
import { allocateNonces, SharedNonces } from '../gateway/credentials/nonces.ts';
import { Tokens } from '../gateway/credentials/tokens.ts';
import type { Dependencies } from '../gateway/dependencies.ts';
import { authenticate } from '../gateway/phases/authenticate.ts';
import { Metrics } from '../gateway/telemetry/metrics.ts';
import { makeExchange } from '../test/support/exchange.ts';
import { startIssuer } from '../test/support/issuer.ts';
import { MemoryKeys } from '../test/support/memory-keys.ts';
import { startNginx } from '../test/support/nginx.ts';
import { startProcess } from '../test/support/processes.ts';
import { makeFolder, removeFolder } from '../test/support/temporary-folder.ts';
import { type LoadRequest, type LoadResult, runLoad } from './support/load.ts';
import { listTree, pin, readCpuUs } from './support/processor.ts';

export interface AuthGatewayOptions {
  readonly upstream: string;
  readonly issuer: string;
  readonly keyFile: string;
  readonly accessLog: string;
  readonly changes: readonly Change[];
}

const gatewayCore = 0;
const loadCore = 1;
const body = JSON.stringify({ amount: 1000, currency: 'XOF', description: 'x'.repeat(149) });
const signing = mintSecret('live', randomBytes(32));
const bearing = mintSecret('live', randomBytes(32));
const mac = createHmac('sha256', signing).update(body).digest('hex');
const digest = (secret: string): string => hash('sha256', secret, 'hex');

function readOption(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

async function measureGateway(issuerUrl: string, rsa: string, ec: string): Promise<void> {
  const rounds = readOption('rounds', 3);
  const seconds = readOption('seconds', 2);
  const connections = readOption('connections', 32);
  const folder = makeFolder('bench-auth');
  const upstream = await startNginx({ server: "location / { return 200 '{}'; }" });
  await pin(upstream.process.pid, loadCore);
  const nginx = await startNginx({
    http: `upstream api { server 127.0.0.1:${upstream.port}; keepalive 64; keepalive_requests 1000000; }`,
    server: 'location / { proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }',
  });
  const rootKey = mintLocalKey();
  const keyFile = join(folder, 'local.key');
  writeFileSync(keyFile, rootKey, { mode: 0o600 });
  const dataKey = randomBytes(32);
  const wrapped = wrapDataKey(parseLocalKey(rootKey)!, 'dk', dataKey);
  const key = (id: string, kind: Key['kind'], secret: Key['secrets'][number]): Change => {
    const object: Key = { id, kind, environment: 'live', status: 'active', secrets: [secret] };
    return { kind: 'key', id, object };
  };
  const options: AuthGatewayOptions = {
    upstream: upstream.url,
    issuer: issuerUrl,
    keyFile,
    accessLog: join(folder, 'access.log'),
    changes: [
      { kind: 'data_key', id: 'dk', object: { id: 'dk', provider: 'local', wrapped } },
      key('ak_live_hmac', 'api_key', { dataKey: 'dk', box: sealSecret(dataKey, 'ak_live_hmac', signing) }),
      key('ak_live_bearer', 'bearer', { sha256: digest(bearing) }),
    ],
  };
  const script = join(import.meta.dirname, 'support/auth-gateway.ts');
  const env = { ...process.env, AUTH_GATEWAY: JSON.stringify(options) };
  const gateway = startProcess(process.execPath, [script], { env });
  const { url } = JSON.parse((await gateway.waitFor(/^\{"url".*$/m))[0]) as { url: string };
  const contender = (name: string, pid: number, address: string, headers: Record<string, string> = {}) => ({
    name,
    pid,
    request: { url: address, method: 'POST', headers, body } satisfies LoadRequest,
    rounds: [] as (LoadResult & { cpuUs: number })[],
  });
  const contenders = [
    contender('nginx proxy_pass', nginx.process.pid, `${nginx.url}/`),
    contender('no authentication', gateway.pid, `${url}/none`),
    contender('bearer', gateway.pid, `${url}/bearer`, { 'X-API-Key': bearing }),
    contender('hmac, 200 bytes', gateway.pid, `${url}/hmac`, { 'X-API-Key': `ak_live_hmac:${mac}` }),
    contender('jwt RS256, warm', gateway.pid, `${url}/jwt`, { Authorization: `Bearer ${rsa}` }),
    contender('jwt ES256, warm', gateway.pid, `${url}/jwt`, { Authorization: `Bearer ${ec}` }),
  ];
  for (const { pid } of contenders) await pin(pid, gatewayCore);
  for (let round = -1; round < rounds; round++) {
    for (const { name, pid, request, rounds: done } of contenders) {
      const cpu = (): number => listTree(pid).reduce((sum, id) => sum + readCpuUs(id), 0);
      const before = cpu();
      const result = await runLoad(request, { connections, seconds, core: loadCore });
      if (result.errors > 0) throw new Error(`${name}: ${result.errors} errors`);
      // The first round lets compilers and connection pools settle.
      if (round >= 0) done.push({ ...result, cpuUs: (cpu() - before) / result.requests });
    }
  }
  const cpuOf = (at: number): number => median(contenders[at]!.rounds.map(({ cpuUs }) => cpuUs));
  console.log('whole gateway         CPU µs/request   of nginx   of bearer   requests/s   p99 ms');
  contenders.forEach(({ name, rounds: done }, at) => {
    const cells = [
      cpuOf(at).toFixed(1).padStart(14),
      `${(cpuOf(at) / cpuOf(0)).toFixed(2)} ×`.padStart(10),
      `${(cpuOf(at) / cpuOf(2)).toFixed(2)} ×`.padStart(11),
      Math.round(median(done.map(({ requestsPerSecond }) => requestsPerSecond)))
        .toString()
        .padStart(12),
      median(done.map(({ p99Ms }) => p99Ms))
        .toFixed(2)
        .padStart(8),
    ];
    console.log(`${name.padEnd(20)}${cells.join(' ')}`);
  });
  await gateway.stop();
  await nginx.stop();
  await upstream.stop();
  removeFolder(folder);
}

/** CPU time of this process by credential, all threads. */
async function measurePhase(
  tokens: Tokens,
  warm: readonly string[],
  cold: readonly (readonly string[])[],
): Promise<void> {
  const keys = new MemoryKeys();
  const pair = generateKeyPairSync('ed25519');
  const publicKey = Buffer.from(pair.publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('base64');
  keys.put({ id: 'ak_live_hmac', environment: 'live', secrets: [{ plain: signing }], publicKey });
  keys.put({ id: 'ak_live_bearer', kind: 'bearer', environment: 'live', secrets: [{ plain: bearing }] });
  const dependencies = {
    keys,
    tokens,
    nonces: new SharedNonces(allocateNonces()),
    metrics: new Metrics(),
    now: Date.now,
    maxSignedBodyBytes: 1 << 20,
  } as unknown as Dependencies;
  const authentication = { accept: ['hmac', 'bearer', 'jwt', 'signature'] };
  const context = { route: { id: 'r', service: 's', path: '/', authentication } } as unknown as RouteContext;
  const phase = authenticate(context, dependencies)!;
  const privateKey = await crypto.subtle.importKey(
    'pkcs8',
    pair.privateKey.export({ format: 'der', type: 'pkcs8' }),
    'Ed25519',
    false,
    ['sign'],
  );
  const url = 'http://gateway.test/';
  const prepare = (headers: Record<string, string>) =>
    makeExchange({ method: 'POST', headers, body }).exchange;
  const signed = async (ed: boolean): Promise<Record<string, string>> =>
    signatureHeaders(
      { method: 'POST', url, body },
      ed ? { keyId: 'ak_live_hmac', privateKey } : { keyId: 'ak_live_hmac', secret: signing },
    );

  async function row(
    name: string,
    count: number,
    headers: (n: number) => Record<string, string> | Promise<Record<string, string>>,
  ): Promise<void> {
    const exchanges = [];
    for (let n = 0; n < count; n++) exchanges.push(prepare(await headers(n)));
    const before = process.cpuUsage();
    for (const exchange of exchanges) {
      const result = phase(exchange);
      if ((result instanceof Promise ? await result : result) !== undefined)
        throw new Error(`${name}: refused`);
    }
    const { user, system } = process.cpuUsage(before);
    console.log(`${name.padEnd(28)}${((user + system) / count).toFixed(2).padStart(10)}`);
  }

  console.log('\nphase alone                      CPU µs');
  const apiKey = (value: string) => () => ({ 'X-API-Key': value });
  const token = (value: string) => ({ Authorization: `Bearer ${value}` });
  for (const name of ['warm-up, ignore', 'bearer']) await row(name, 100_000, apiKey(bearing));
  for (const name of ['warm-up, ignore', 'hmac, 200 bytes'])
    await row(name, 100_000, apiKey(`ak_live_hmac:${mac}`));
  for (const [i, name] of ['jwt RS256', 'jwt ES256'].entries()) {
    await row(`${name}, not seen before`, cold[i]!.length, (n) => token(cold[i]![n]!));
    await row(`${name}, warm`, 100_000, () => token(warm[i]!));
  }
  await row('signature hmac-sha256', 5000, () => signed(false));
  await row('signature ed25519', 5000, () => signed(true));
}

const issuer = await startIssuer();
await issuer.addKey('rsa', 'RS256');
await issuer.addKey('ec', 'ES256');
const claims = { sub: 'user-4711', aud: 'api', scope: 'payments:read payments:write', roles: ['merchant'] };
const exp = Math.floor(Date.now() / 1000) + 3600;
const make = (kid: string, jti: string) => issuer.sign({ ...claims, exp, jti }, { kid });
const warm = [await make('rsa', 'w'), await make('ec', 'w')];
await measureGateway(issuer.url, warm[0]!, warm[1]!);
const cold: string[][] = [[], []];
for (let n = 0; n < 2000; n++) {
  cold[0]!.push(await make('rsa', `c${n}`));
  cold[1]!.push(await make('ec', `c${n}`));
}
await measurePhase(new Tokens([{ issuer: issuer.url }], { now: Date.now }), warm, cold);
await issuer.stop();
process.exit(0);
