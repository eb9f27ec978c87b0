import type { Duplex } from 'node:stream';
import { Exchange } from '../../gateway/exchange.ts';
import type { Phase, PhaseResult } from '../../gateway/pipeline.ts';
import { Refusal } from '../../gateway/refusal.ts';
import type { BodyReceiver, Downstream } from '../../gateway/wire/downstream.ts';

export interface RequestOptions {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string;
  readonly secure?: boolean;
  readonly remoteAddress?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body?: string | Buffer;
  /** The body arrives later, in these pieces, after `arrive` has been called; `body` is ignored. */
  readonly pieces?: readonly string[];
}

/** A client's side in memory: it records what is answered. */
export class RecordingDownstream implements Downstream {
  status = 0;
  headers: readonly string[] = [];
  body: Buffer | null = null;
  destroyed = false;
  #whole: Buffer | null;
  #receiver: BodyReceiver | null = null;

  constructor(whole: Buffer | null) {
    this.#whole = whole;
  }

  /** Delivers a body that was not there at first. */
  arrive(pieces: readonly string[]): void {
    for (const piece of pieces) this.#receiver!.onBody(Buffer.from(piece));
    this.#receiver!.onBodyEnd(null);
  }

  takeBody(): Buffer | null {
    return this.#whole;
  }
  readBody(receiver: BodyReceiver): void {
    this.#receiver = receiver;
  }
  respond(status: number, headers: readonly string[], body: Uint8Array | null): void {
    this.status = status;
    this.headers = headers;
    this.body = body === null ? null : Buffer.from(body);
  }
  writeHead(status: number, headers: readonly string[]): void {
    this.status = status;
    this.headers = headers;
  }
  destroy(): void {
    this.destroyed = true;
  }
  write(): boolean {
    return true;
  }
  end(): void {}
  pauseBody(): void {}
  resumeBody(): void {}
  writeInformation(): void {}
  switchProtocols(): { socket: Duplex; head: Buffer } {
    throw new Error('not for tests of phases');
  }
}

/** An exchange whose request is already there (or, with `pieces`, its head only). */
export function makeExchange(options: RequestOptions = {}): {
  exchange: Exchange;
  downstream: RecordingDownstream;
} {
  const headers: string[] = [];
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    for (const line of typeof value === 'string' ? [value] : (value ?? []))
      headers.push(name.toLowerCase(), line);
  }
  const body = Buffer.from(options.body ?? '');
  const downstream = new RecordingDownstream(options.pieces ? null : body);
  const observer = {
    observe: () => {},
    onFault: (_exchange: Exchange, error: unknown) => {
      throw error;
    },
  };
  const exchange = new Exchange(downstream, observer, {
    method: options.method ?? 'GET',
    target: options.target ?? '/',
    headers,
    host: options.host ?? 'gateway.test',
    secure: options.secure ?? false,
    remoteAddress: options.remoteAddress ?? '127.0.0.1',
    httpVersion: '1.1',
    bodyLength: options.pieces ? -1 : body.length,
    upgrade: null,
    connectionFields: null,
  });
  return { exchange, downstream };
}

/** What one phase says to one request. */
export async function passThrough(
  phase: Phase,
  options: RequestOptions,
): Promise<{ result: PhaseResult; exchange: Exchange; downstream: RecordingDownstream }> {
  const { exchange, downstream } = makeExchange(options);
  const pending = phase(exchange);
  if (options.pieces) downstream.arrive(options.pieces);
  return { result: await pending, exchange, downstream };
}

/** `status code` of a refusal, "pass" or "answered". */
export function verdict(result: PhaseResult): string {
  if (result === undefined) return 'pass';
  return result instanceof Refusal ? `${result.status} ${result.code}` : 'answered';
}
