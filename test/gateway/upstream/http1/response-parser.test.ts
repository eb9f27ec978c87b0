import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ResponseReader, type ResponseSink } from '../../../../gateway/upstream/http1/response-reader.ts';
import { responseFaults } from '../../../../gateway/wire/http1/faults.ts';
import { type ResponseCase, responseCases } from './response-corpus.ts';

class Recorder implements ResponseSink {
  readonly interim: number[] = [];
  readonly #reader = new ResponseReader();
  readonly #body: Buffer[] = [];
  outcome: Record<string, unknown> | string | null = null;

  read(entry: ResponseCase, pieces: readonly Buffer[]): Record<string, unknown> | string | null {
    this.#reader.begin(entry.method, entry.upgradeAsked);
    for (const piece of pieces) {
      let at = 0;
      while (at < piece.length && this.outcome === null)
        at = this.#reader.read(piece, at, piece.length, this);
    }
    if (this.outcome === null) this.#reader.readEnd(this);
    return this.outcome;
  }

  onInformation(status: number): void {
    this.interim.push(status);
  }
  onHead(): void {}
  onBody(chunk: Buffer, start: number, end: number): void {
    this.#body.push(Buffer.from(chunk.subarray(start, end)));
  }
  onSwitch(): void {
    this.onComplete(null);
  }
  onComplete(trailers: string[] | null): void {
    const { status, headers, bodyLength, persistent, keepAliveSeconds } = this.#reader.parser;
    const body = Buffer.concat(this.#body).toString('latin1');
    const { interim } = this;
    this.outcome = { status, headers, bodyLength, persistent, keepAliveSeconds, body, interim, trailers };
  }
  onFault(fault: string): void {
    this.outcome = fault;
  }
}

function check(entry: ResponseCase, pieces: readonly Buffer[]): void {
  const outcome = new Recorder().read(entry, pieces);
  if (typeof entry.verdict === 'string') {
    assert.equal(outcome, entry.verdict);
    return;
  }
  assert.ok(outcome !== null && typeof outcome === 'object', `read as ${outcome}`);
  for (const [name, value] of Object.entries(entry.verdict)) assert.deepEqual(outcome[name], value, name);
}

function titleOf({ raw, section, verdict, method }: ResponseCase): string {
  const shown = JSON.stringify(raw.length > 120 ? `${raw.slice(0, 117)}…` : raw);
  return `${section}: ${typeof verdict === 'string' ? verdict : 'accepts'} to ${method} ${shown}`;
}

test('the corpus has at least 60 responses and shows every fault of their own', () => {
  assert.ok(responseCases.length >= 60, `${responseCases.length} cases`);
  const shown = new Set<unknown>(responseCases.map((entry) => entry.verdict));
  for (const fault of Object.keys(responseFaults)) assert.ok(shown.has(fault), fault);
});

test('each response of the corpus gets its verdict, read whole', async (t) => {
  for (const entry of responseCases)
    await t.test(titleOf(entry), () => check(entry, [Buffer.from(entry.raw, 'latin1')]));
});

test('a split at any byte, and byte by byte, changes no verdict', () => {
  for (const entry of responseCases) {
    const raw = Buffer.from(entry.raw, 'latin1');
    const step = raw.length > 4000 ? 997 : 1;
    for (let at = 1; at < raw.length; at += step)
      assert.doesNotThrow(
        () => check(entry, [raw.subarray(0, at), raw.subarray(at)]),
        `${titleOf(entry)} split at ${at}`,
      );
    if (raw.length > 4000) continue;
    const bytes = Array.from(raw, (_, i) => raw.subarray(i, i + 1));
    assert.doesNotThrow(() => check(entry, bytes), titleOf(entry));
  }
});
