import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { problems } from '#contract/problems.ts';
import type { Route, Service } from '#contract/registry.ts';
import { requestFaults } from '../../gateway/wire/http1/faults.ts';
import { type ResponseCase, responseCases } from '../gateway/upstream/http1/response-corpus.ts';
import { type RequestCase, requestCases } from '../gateway/wire/http1/request-corpus.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { sendRaw, startUpstream, type TestUpstream } from '../support/upstream.ts';
import { ConnectionEnded, connectWire } from '../support/wire-client.ts';

/** The corpora, through a whole gateway on real sockets in front of an upstream that records what reaches it. */

interface Fixture {
  readonly gateway: TestGateway;
  readonly upstream: TestUpstream;
}

async function start(t: TestContext): Promise<Fixture> {
  const upstream = await startUpstream(sendRaw('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  const service: Service = { id: 's', targets: { live: [{ url: upstream.url }] }, retries: 0 };
  const route: Route = { id: 'r', service: 's', path: '/', authentication: 'none', applyPlan: false };
  const gateway = await startTestGateway({ services: [service], routes: [route], wire: { lingerMs: 200 } });
  t.after(async () => {
    await gateway.stop();
    await upstream.stop();
  });
  return { gateway, upstream };
}

function titleOf({ raw, section }: { raw: string; section: string }): string {
  return `${section} ${JSON.stringify(raw.length > 100 ? `${raw.slice(0, 97)}…` : raw)}`;
}

const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: smuggled\r\n\r\n';
const good = 'GET /good HTTP/1.1\r\nHost: good\r\n\r\n';

async function checkRefused(
  { gateway, upstream }: Fixture,
  entry: RequestCase,
  before: string,
): Promise<void> {
  if (typeof entry.verdict !== 'string') return;
  const expected = problems[requestFaults[entry.verdict].code];
  const seen = upstream.requests.length;
  const client = await connectWire(gateway.port);
  try {
    client.send(before + entry.raw + smuggled);
    if (before !== '') assert.equal((await client.readResponse()).status, 200);
    const response = await client.readResponse();
    assert.equal(response.status, expected.status);
    assert.equal(response.header('connection'), 'close');
    assert.equal((await client.readToEnd()).length, 0, 'nothing follows the refusal');
    const reached = upstream.requests.slice(seen).map(({ target }) => target);
    assert.deepEqual(reached, before === '' ? [] : ['/good'], 'nothing whole reaches the upstream');
  } finally {
    client.destroy();
  }
}

const malformed = requestCases.filter(({ verdict }) => typeof verdict === 'string');
const wellFormed = requestCases.filter(({ verdict }) => typeof verdict !== 'string');

test('every malformed request is refused with its status, the connection closed, and nothing reaches the upstream', async (t) => {
  const fixture = await start(t);
  for (const entry of malformed)
    await checkRefused(fixture, entry, '').catch((error: Error) =>
      assert.fail(`${titleOf(entry)}: ${error.message}`),
    );
});

test('so it is behind a good request on the same connection', async (t) => {
  const fixture = await start(t);
  for (const entry of malformed)
    await checkRefused(fixture, entry, good).catch((error: Error) =>
      assert.fail(`${titleOf(entry)}: ${error.message}`),
    );
});

test('every well-formed request reaches the upstream once, framed anew, and so does the one behind it', async (t) => {
  const { gateway, upstream } = await start(t);
  for (const entry of wellFormed) {
    const expected = entry.verdict as Exclude<RequestCase['verdict'], string>;
    if (expected.upgrade || expected.target === '*') continue;
    const title = titleOf(entry);
    const seen = upstream.requests.length;
    const client = await connectWire(gateway.port);
    client.send(entry.raw + good);
    const method = expected.method ?? 'GET';
    assert.equal(
      (await client.readResponse({ method: entry.raw.startsWith('HEAD') ? 'HEAD' : method })).status,
      200,
      title,
    );
    const persistent = expected.persistent ?? !/^[A-Z]+ \S+ HTTP\/1\.0/.test(entry.raw);
    if (persistent) assert.equal((await client.readResponse()).status, 200, title);
    client.destroy();
    const [first, second, ...more] = upstream.requests.slice(seen);
    assert.ok(first, title);
    assert.equal(more.length, 0, title);
    if (expected.method) assert.equal(first.method, expected.method, title);
    if (expected.target) assert.equal(first.target, expected.target, title);
    if (expected.body !== undefined) assert.equal(first.body.toString('latin1'), expected.body, title);
    assert.equal(first.header('connection'), undefined, title);
    assert.ok(
      first.header('content-length') === undefined || first.header('transfer-encoding') === undefined,
      title,
    );
    if (second) assert.equal(second.target, '/good', title);
  }
});

async function checkAnswer(fixture: Fixture, entry: ResponseCase): Promise<void> {
  const { gateway, upstream } = fixture;
  upstream.handle((_request, socket) => {
    if (entry.raw === '') socket.destroy();
    else socket.end(Buffer.from(entry.raw, 'latin1'));
  });
  const client = await connectWire(gateway.port);
  try {
    client.send(`${entry.method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    const outcome = await client.readResponse({ method: entry.method }).catch((error: unknown) => {
      if (error instanceof ConnectionEnded) return null;
      throw error;
    });
    if (typeof entry.verdict !== 'string') {
      assert.ok(outcome, 'the answer is whole');
      if (entry.verdict.status) assert.equal(outcome.status, entry.verdict.status);
      if (entry.verdict.body !== undefined) assert.equal(outcome.body.toString('latin1'), entry.verdict.body);
      return;
    }
    // A fault in the head is a 502; one in the body comes too late for that and breaks the answer off.
    if (outcome !== null) assert.equal(outcome.status, 502);
    for (const line of outcome?.headers ?? []) assert.doesNotMatch(line, /set-cookie/i);
  } finally {
    client.destroy();
  }
}

test('every answer of an upstream gets through whole, is a 502, or visibly breaks off', async (t) => {
  const fixture = await start(t);
  for (const entry of responseCases) {
    if (entry.upgradeAsked) continue;
    await checkAnswer(fixture, entry).catch((error: Error) =>
      assert.fail(`${titleOf(entry)} → ${JSON.stringify(entry.verdict)}: ${error.message}`),
    );
  }
});
