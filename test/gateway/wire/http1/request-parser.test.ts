import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RequestFault, requestFaults } from '../../../../gateway/wire/http1/faults.ts';
import { type RequestCase, requestCases } from './request-corpus.ts';
import { type RequestReader, readPieces } from './request-reader.ts';

function check(reader: RequestReader, verdict: RequestCase['verdict'], index: number): void {
  if (typeof verdict === 'string') {
    assert.equal(reader.fault, verdict);
    assert.equal(reader.requests.length, index);
    return;
  }
  assert.equal(reader.fault, null);
  const request = reader.requests[index];
  assert.ok(request, 'the request is complete');
  for (const [name, value] of Object.entries(verdict))
    assert.deepEqual(request[name as keyof typeof request], value, name);
}

function titleOf({ raw, section, verdict }: RequestCase): string {
  const shown = JSON.stringify(raw.length > 120 ? `${raw.slice(0, 117)}…` : raw);
  return `${section}: ${typeof verdict === 'string' ? verdict : 'accepts'} ${shown}`;
}

test('the corpus has at least 200 requests and shows every fault', () => {
  assert.ok(requestCases.length >= 200, `${requestCases.length} cases`);
  const shown = new Set(
    requestCases.map((entry) => entry.verdict).filter((verdict) => typeof verdict === 'string'),
  );
  const missing = (Object.keys(requestFaults) as RequestFault[]).filter((fault) => !shown.has(fault));
  assert.deepEqual(missing, []);
});

test('each request of the corpus gets its verdict, read whole', async (t) => {
  for (const entry of requestCases)
    await t.test(titleOf(entry), () =>
      check(readPieces([Buffer.from(entry.raw, 'latin1')]), entry.verdict, 0),
    );
});

test('a split at any byte changes no verdict', () => {
  for (const entry of requestCases) {
    const raw = Buffer.from(entry.raw, 'latin1');
    const step = raw.length > 4000 ? 97 : 1;
    for (let at = 1; at < raw.length; at += step) {
      const reader = readPieces([raw.subarray(0, at), raw.subarray(at)]);
      assert.doesNotThrow(() => check(reader, entry.verdict, 0), `${titleOf(entry)} split at ${at}`);
    }
  }
});

test('byte by byte changes no verdict', () => {
  for (const entry of requestCases) {
    const raw = Buffer.from(entry.raw, 'latin1');
    const pieces = Array.from(raw, (_, i) => raw.subarray(i, i + 1));
    assert.doesNotThrow(() => check(readPieces(pieces), entry.verdict, 0), titleOf(entry));
  }
});

test('two requests back to back are read as each alone, and nothing is read behind a fault', () => {
  const complete = requestCases.filter((entry) => typeof entry.verdict !== 'string');
  for (const [i, first] of complete.entries())
    for (const [j, second] of requestCases.entries()) {
      if ((i * 7 + j) % 11 !== 0) continue;
      const reader = readPieces([Buffer.from(first.raw + second.raw, 'latin1')]);
      const title = `${titleOf(first)} then ${titleOf(second)}`;
      assert.doesNotThrow(() => check(reader, second.verdict, 1), title);
      assert.deepEqual(reader.requests[0], readPieces([Buffer.from(first.raw, 'latin1')]).requests[0], title);
    }
});
