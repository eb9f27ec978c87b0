import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Change } from '#contract/registry.ts';
import { resolveConfig } from '../../../gateway/config.ts';
import { type RunningGateway, startGateway } from '../../../gateway/main.ts';
import { eventually } from '../../support/processes.ts';
import { startUpstream, type TestUpstream, type UpstreamRequest } from '../../support/upstream.ts';
import { connectWire } from '../../support/wire-client.ts';

let upstream: TestUpstream;
let gateway: RunningGateway;
let delayed: (() => void)[] | null = null;

before(async () => {
  upstream = await startUpstream((request, socket) => {
    const answer = (): void => {
      const body = `${request.target} #${upstream.requests.length}`;
      socket.write(
        `HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nSurrogate-Key: all ${request.target.slice(1)}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    };
    if (delayed === null) answer();
    else delayed.push(answer);
  });
  const resolved = resolveConfig(
    {},
    {},
    {
      listenHost: '127.0.0.1',
      listenPort: 0,
      adminPort: 0,
      accessLog: 'off',
      workers: 2,
      operatorToken: 'operator',
    },
  );
  assert.ok(resolved.ok);
  const declared: Change[] = [
    { kind: 'service', id: 's', object: { id: 's', targets: { live: [{ url: upstream.url }] } } },
    {
      kind: 'route',
      id: 'r',
      object: { id: 'r', service: 's', path: '/', authentication: 'none', cache: {} },
    },
  ];
  gateway = await startGateway(resolved.config, declared);
});

after(async () => {
  await gateway.close();
  await upstream.stop();
});

function requestsFor(target: string): UpstreamRequest[] {
  return upstream.requests.filter((request) => request.target === target);
}

/** Each on a connection of its own, so that the kernel spreads them over the workers. */
async function get(target: string): Promise<{ status: string; body: string }> {
  const wire = await connectWire(gateway.url);
  wire.send(`GET ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
  const response = await wire.readResponse();
  wire.destroy();
  return { status: response.header('cache-status') ?? '', body: response.body.toString() };
}

async function purge(
  body: unknown,
  token = 'operator',
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`${gateway.adminUrl}/admin/v1/cache/purge`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test('what one worker has stored every worker serves', async () => {
  await get('/shared');
  await eventually(async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => get('/shared')));
    assert.ok(answers.every(({ status }) => status.includes('hit')));
  });
  assert.equal(requestsFor('/shared').length, 1);
});

test('a crowd over all workers asks once', async () => {
  delayed = [];
  const answers = Promise.all(Array.from({ length: 100 }, () => get('/crowd')));
  await eventually(() => assert.equal(delayed!.length, 1));
  const [first] = delayed;
  delayed = null;
  first!();
  const bodies = new Set((await answers).map(({ body }) => body));
  assert.equal(bodies.size, 1);
  assert.equal(requestsFor('/crowd').length, 1);
});

test('a purge has reached every worker when it is answered', async () => {
  for (const body of [
    { url: 'http://a.test/purged' },
    { prefix: 'a.test/pur' },
    { key: 'purged' },
    { all: true },
  ]) {
    const { body: before } = await get('/purged');
    const answered = await purge(body);
    assert.equal(answered.status, 200);
    assert.ok((answered.body.purged as number) >= 1, JSON.stringify(body));
    const answers = await Promise.all(Array.from({ length: 20 }, () => get('/purged')));
    for (const answer of answers) assert.notEqual(answer.body, before);
  }
});

test('a purge that is not understood is refused', async () => {
  for (const body of [
    {},
    { url: '' },
    { url: 'a', key: 'b' },
    { everything: true },
    { all: false },
    [],
    { url: 5 },
    { key: 'x', soft: 'yes' },
  ]) {
    assert.equal((await purge(body)).status, 422, JSON.stringify(body));
  }
  assert.equal((await purge('{')).status, 400);
  assert.equal((await purge({ all: true }, 'wrong')).status, 401);
});

test('metrics count what is stored once, whatever the number of workers', async () => {
  await purge({ all: true });
  await get('/counted');
  await eventually(async () => {
    const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    assert.match(text, /^tollgate_cache_entries\{route="r"\} 1$/m);
    assert.match(text, /^tollgate_cache_requests_total\{route="r",state="collapsed"\} [1-9]/m);
    assert.match(text, /^tollgate_cache_requests_total\{route="r",state="hit"\} [1-9]/m);
  });
});
