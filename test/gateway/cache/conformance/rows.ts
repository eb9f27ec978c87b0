import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { CachePolicy } from '#contract/cache.ts';
import type { Route } from '#contract/registry.ts';
import { startTestGateway, type TestGateway } from '../../../support/gateway.ts';
import { startUpstream, type TestUpstream, type UpstreamRequest } from '../../../support/upstream.ts';
import { connectWire, type WireClient, type WireResponse } from '../../../support/wire-client.ts';

/**
 * What the second of two requests is expected to do: be answered from what the first one stored, go to the origin as a
 * new request, or go there as a validation.
 */
export type Outcome = 'hit' | 'forward' | 'validate';

/** One answer of the origin, or the way in which it fails. */
export interface Answer {
  readonly status?: number;
  readonly reason?: string;
  /** Lines of the header section. */
  readonly headers?: readonly string[];
  readonly body?: string;
  /** Sent before the answer, as it is. */
  readonly interim?: string;
  readonly fails?: 'close' | 'mid-body' | 'mid-chunks' | 'garbage';
  readonly chunked?: boolean;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: readonly string[];
  readonly target?: string;
  readonly host?: string;
  /** Seconds that pass before it. */
  readonly after?: number;
}

export interface Seen {
  readonly responses: readonly WireResponse[];
  /** What the origin received. */
  readonly requests: readonly UpstreamRequest[];
}

/** One requirement: its section, what it says, and requests that show it. */
export interface Row {
  readonly section: string;
  readonly says: string;
  /** The answers of the origin in turn; the last one repeats. */
  readonly origin: Answer | readonly Answer[];
  /** The requests after the first, which is a plain GET unless `first` says otherwise. */
  readonly first?: Ask;
  readonly next?: Ask | readonly Ask[];
  readonly expect: Outcome | ((seen: Seen) => void);
  readonly policy?: keyof typeof policies;
}

/** Routes of the suite, by the first segment of the path. */
export const policies = {
  plain: {},
  ttl: { defaultTtlMs: 60_000 },
  swr: { staleWhileRevalidateMs: 30_000 },
  sie: { staleIfErrorMs: 30_000 },
  small: { maxObjectBytes: 100 },
  sorted: { query: 'sorted' },
  none: { query: 'none' },
  listed: { query: ['page', 'size'] },
} satisfies Record<string, CachePolicy>;

/** The clock of the suite starts here; dates in rows are relative to the time of the row. */
let nowMs = Date.UTC(2026, 0, 15, 12, 0, 0);

/** An HTTP-date that is `seconds` from the present of the row that is running; written as a placeholder. */
export function date(seconds: number): string {
  return `{date:${seconds}}`;
}

const etag = 'ETag: "v1"';
export const validator = etag;

/** Runs rows over real sockets: one gateway, one origin, a path of its own for each row. */
export function runRows(rows: readonly Row[]): void {
  let upstream: TestUpstream;
  let gateway: TestGateway;
  let client: WireClient;
  const scripts = new Map<string, { answers: readonly Answer[]; served: number; seen: UpstreamRequest[] }>();

  before(async () => {
    upstream = await startUpstream((request, socket) => {
      const script = scripts.get(pathOf(request.target));
      if (!script) {
        socket.write('HTTP/1.1 500 No script\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      script.seen.push(request);
      const answer = script.answers[Math.min(script.served++, script.answers.length - 1)]!;
      send(answer, request, (bytes, close) => {
        socket.write(Buffer.from(bytes, 'latin1'), () => close && socket.destroy());
      });
    });
    const routes = Object.entries(policies).map(
      ([name, cache]): Route => ({
        id: name,
        service: 'origin',
        path: `/${name}`,
        authentication: 'none',
        cache: cache as CachePolicy,
      }),
    );
    gateway = await startTestGateway({
      services: [
        { id: 'origin', targets: { live: [{ url: upstream.url }] }, retries: 0, preserveHost: true },
      ],
      routes,
      now: () => nowMs,
    });
    client = await connectWire(gateway.port);
  });

  after(async () => {
    client.destroy();
    await gateway.stop();
    await upstream.stop();
  });

  rows.forEach((row, index) => {
    test(`${row.section}: ${row.says}`, async () => {
      const path = `/${row.policy ?? 'plain'}/row-${index}`;
      const script = {
        answers: Array.isArray(row.origin) ? row.origin : [row.origin as Answer],
        served: 0,
        seen: [] as UpstreamRequest[],
      };
      scripts.set(path, script);
      const asks = [
        row.first ?? {},
        ...(row.next === undefined ? [{}] : Array.isArray(row.next) ? row.next : [row.next as Ask]),
      ];
      const responses: WireResponse[] = [];
      for (const ask of asks) {
        nowMs += (ask.after ?? 0) * 1000;
        const method = ask.method ?? 'GET';
        const lines = (ask.headers ?? []).map((line: string) => `${expand(line)}\r\n`).join('');
        const target = (ask.target ?? '{path}').replaceAll('{path}', path);
        if (client.socket.destroyed) client = await connectWire(gateway.port);
        client.send(`${method} ${target} HTTP/1.1\r\nHost: ${ask.host ?? 'api.test'}\r\n${lines}\r\n`);
        try {
          responses.push(await client.readResponse({ method }));
        } catch (error) {
          client.destroy();
          client = await connectWire(gateway.port);
          if (typeof row.expect !== 'function') throw error;
        }
      }
      const seen: Seen = { responses, requests: script.seen };
      if (typeof row.expect === 'function') row.expect(seen);
      else expectOutcome(row.expect, seen);
      assert.deepEqual(gateway.faults, []);
    });
  });
}

function pathOf(target: string): string {
  return target.split('?')[0]!;
}

function expand(line: string): string {
  return line.replace(/\{date:(-?\d+)\}/g, (_, seconds: string) =>
    new Date(nowMs + Number(seconds) * 1000).toUTCString(),
  );
}

function send(
  answer: Answer,
  request: UpstreamRequest,
  write: (bytes: string, close: boolean) => void,
): void {
  const {
    status = 200,
    headers = [],
    body = `body of ${request.target}`,
    fails,
    interim = '',
    chunked,
  } = answer;
  const lines = headers
    .map((line) => `${expand(line).replaceAll('{path}', pathOf(request.target))}\r\n`)
    .join('');
  const head = `${interim}HTTP/1.1 ${status} ${answer.reason ?? 'Test'}\r\n${lines}`;
  if (fails === 'close') {
    write('', true);
    return;
  }
  if (fails === 'garbage') {
    write('GARBAGE\r\n\r\n', true);
    return;
  }
  if (fails === 'mid-body') {
    write(`${head}Content-Length: ${body.length + 10}\r\n\r\n${body}`, true);
    return;
  }
  const chunk = `${body.length.toString(16)}\r\n${body}\r\n`;
  if (fails === 'mid-chunks') {
    write(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}`, true);
    return;
  }
  if (status === 204 || status === 304) {
    write(`${head}\r\n`, false);
    return;
  }
  const payload = request.method === 'HEAD' ? '' : body;
  if (chunked) {
    write(
      `${head}Transfer-Encoding: chunked\r\n\r\n${request.method === 'HEAD' ? '' : `${chunk}0\r\n\r\n`}`,
      false,
    );
    return;
  }
  write(`${head}Content-Length: ${body.length}\r\n\r\n${payload}`, false);
}

function expectOutcome(outcome: Outcome, { responses, requests }: Seen): void {
  const last = responses.at(-1)!;
  const status =
    last.headers.filter((_, i) => last.headers[i - 1]?.toLowerCase() === 'cache-status').at(-1) ?? '';
  if (outcome === 'hit') {
    assert.equal(requests.length, responses.length - 1, 'the origin must not be asked again');
    assert.match(status, /^tollgate; hit/);
    assert.equal(last.body.toString(), responses[0]!.body.toString());
    assert.match(last.header('age') ?? '', /^\d+$/);
    return;
  }
  assert.equal(requests.length, responses.length, 'the origin must be asked again');
  assert.doesNotMatch(status, /; hit/);
  const sent = requests.at(-1)!;
  const conditional =
    sent.header('if-none-match') !== undefined || sent.header('if-modified-since') !== undefined;
  assert.equal(conditional, outcome === 'validate', 'conditional');
}

/** Rows that differ only in Cache-Control of the response. */
export function control(
  section: string,
  says: string,
  value: string,
  expect: Outcome,
  more: Partial<Row> = {},
): Row {
  return {
    section,
    says: `${value} — ${says}`,
    origin: { headers: [`Cache-Control: ${value}`, etag] },
    expect,
    ...more,
  };
}
