import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mintKeyId, mintSecret } from '#contract/keys.ts';
import type { App, Change, Key } from '#contract/registry.ts';

const keysPerApp = 10;
/** Seven of ten keys sign requests, the others are bearer keys. */
const signing = 7;

/** The registry of a portal with `count` keys: ids, secrets and apps as a control plane makes them. */
export function* portalObjects(count: number): Generator<Change, void> {
  yield { kind: 'plan', id: 'free', object: { id: 'free', limits: [] } };
  yield { kind: 'plan', id: 'gold', object: { id: 'gold', limits: [] } };
  let app: App = { id: '', account: '', name: '' };
  for (let n = 0; n < count; n++) {
    if (n % keysPerApp === 0) {
      app = {
        id: makeId('app'),
        account: makeId('acc'),
        name: `Application ${n / keysPerApp}`,
        plan: n % 3 ? 'free' : 'gold',
      };
      yield { kind: 'app', id: app.id, object: app };
    }
    yield { kind: 'key', id: keyIdOf(n), object: portalKey(n, app) };
  }
}

export function keyIdOf(n: number): string {
  return mintKeyId(n % 2 ? 'live' : 'test', seeded(`id ${n}`));
}

/** The secret of a key when that is a bearer key. */
export function secretOf(n: number): string {
  return mintSecret(n % 2 ? 'live' : 'test', seeded(`secret ${n}`));
}

export function isBearer(n: number): boolean {
  return n % 10 >= signing;
}

export function portalKey(n: number, app: App | null, status: Key['status'] = 'active'): Key {
  const secret = isBearer(n)
    ? { sha256: createHash('sha256').update(secretOf(n)).digest('hex') }
    : { dataKey: 'dk_1562d093ea398003a58f4dd3', box: randomBytes(12 + 57 + 16).toString('base64') };
  return {
    id: keyIdOf(n),
    kind: isBearer(n) ? 'bearer' : 'api_key',
    environment: n % 2 ? 'live' : 'test',
    status,
    secrets: [secret],
    expiresAt: 1_900_000_000_000 + n,
    scopes: ['payments:read', 'payments:write'],
    ...(app === null ? {} : { app: app.id, account: app.account }),
  };
}

/** Writes the snapshot of a registry with `count` keys to a file, as the lines of the stream. */
export async function writeSnapshot(path: string, count: number): Promise<void> {
  const file = createWriteStream(path);
  let text = `${JSON.stringify({ type: 'snapshot', revision: 1 })}\n`;
  let objects = 0;
  for (const change of portalObjects(count)) {
    text += `${JSON.stringify({ type: 'change', ...change })}\n`;
    objects++;
    if (text.length < 1 << 18) continue;
    if (!file.write(text)) await once(file, 'drain');
    text = '';
  }
  file.end(`${text}${JSON.stringify({ type: 'snapshot_end', revision: 1, count: objects })}\n`);
  await once(file, 'finish');
}

export interface RegistryServer {
  readonly url: string;
  /** Resolves when some gateway has acknowledged the snapshot. */
  readonly acknowledged: Promise<void>;
  stop(): Promise<void>;
}

/** A control plane that streams the snapshot in a file to whoever comes. */
export async function serveSnapshot(path: string): Promise<RegistryServer> {
  let onAcknowledged = (): void => undefined;
  const acknowledged = new Promise<void>((resolve) => {
    onAcknowledged = resolve;
  });
  const server = createServer((request, response) => {
    if (request.url === '/registry/v1/ack') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        response.writeHead(204).end();
        if (JSON.parse(body).revision === 1) onAcknowledged();
      });
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    createReadStream(path, { highWaterMark: 1 << 18 }).pipe(response, { end: false });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    acknowledged,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function seeded(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

let made = 0;
function makeId(prefix: string): string {
  return `${prefix}_${seeded(`object ${made++}`).toString('hex', 0, 12)}`;
}
