import type { Exchange, ExchangeHandler } from '../../../gateway/exchange.ts';

/** A handler for wire tests: what to do with an exchange is the test's business; what ended is kept. */
export class RecordingHandler implements ExchangeHandler {
  readonly begun: Exchange[] = [];
  readonly observed: Exchange[] = [];
  readonly faults: unknown[] = [];
  answer: (exchange: Exchange) => void;
  #waiting: { list: readonly unknown[]; count: number; resolve: () => void }[] = [];

  constructor(answer: (exchange: Exchange) => void = answerHello) {
    this.answer = answer;
  }

  handle(exchange: Exchange): void {
    this.begun.push(exchange);
    this.#wake();
    this.answer(exchange);
  }

  observe(exchange: Exchange): void {
    this.observed.push(exchange);
    this.#wake();
  }

  onFault(_exchange: Exchange, error: unknown): void {
    this.faults.push(error);
  }

  #wake(): void {
    for (const waiter of this.#waiting) if (waiter.list.length >= waiter.count) waiter.resolve();
  }

  /** Resolves when `count` exchanges have begun. */
  begins(count: number): Promise<void> {
    return this.#reach(this.begun, count);
  }

  /** Resolves when `count` exchanges have been observed. */
  ends(count: number): Promise<void> {
    return this.#reach(this.observed, count);
  }

  #reach(list: readonly unknown[], count: number): Promise<void> {
    if (list.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ list, count, resolve }));
  }
}

export function answerHello(exchange: Exchange): void {
  exchange.answer(200, ['Content-Type', 'text/plain'], Buffer.from(`hello ${exchange.target}`));
}

/** Collects the body, and answers with it. */
export function answerEcho(exchange: Exchange): void {
  const body = exchange.collectBody(64 << 20);
  const send = (whole: Buffer | null): void => exchange.answer(200, [], whole);
  if (body instanceof Promise) body.then(send, () => undefined);
  else send(body);
}

/** Streams the body back as it comes, with its trailers; `length` -1 lets the wire choose the framing. */
export function streamEcho(exchange: Exchange): void {
  exchange.sendHead(200, [], -1);
  exchange.downstream.readBody({
    onBody: (chunk) => exchange.sendData(chunk),
    onBodyEnd: (trailers) => exchange.sendEnd(trailers),
    onBodyError: () => exchange.abandon(),
  });
  exchange.source = { pause() {}, resume: () => exchange.downstream.resumeBody(), abort() {} };
}
