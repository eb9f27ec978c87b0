import { ChunkedDecoder } from '../../../../gateway/wire/http1/chunked.ts';
import type { RequestFault } from '../../../../gateway/wire/http1/faults.ts';
import { RequestParser } from '../../../../gateway/wire/http1/request-parser.ts';
import type { Expected } from './request-corpus.ts';

export type ReadRequest = Required<Omit<Expected, 'trailers' | 'connectionFields'>> &
  Pick<Expected, 'trailers' | 'connectionFields'>;

/** Reads whole requests with the pure parts of the wire: what they are, up to the first fault; `open` when cut off. */
export class RequestReader {
  readonly requests: ReadRequest[] = [];
  fault: RequestFault | null = null;
  readonly #parser = new RequestParser();
  #chunked: ChunkedDecoder | null = null;
  #inBody = false;
  #remaining = 0;
  #body: Buffer[] = [];
  #begun = false;

  constructor() {
    this.#parser.begin();
  }

  /** Whether bytes of an incomplete message have been read. */
  get open(): boolean {
    return this.#begun;
  }

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.fault === null) {
      this.#begun = true;
      at = this.#inBody ? this.#readBody(chunk, at) : this.#readHead(chunk, at);
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const parser = this.#parser;
    const reading = parser.read(chunk, at, chunk.length);
    if (reading === 'partial') return chunk.length;
    if (reading !== 'complete') {
      this.fault = reading;
      return at;
    }
    this.#body = [];
    this.#inBody = true;
    this.#remaining = parser.bodyLength;
    this.#chunked = parser.bodyLength < 0 ? new ChunkedDecoder() : null;
    if (parser.bodyLength === 0) this.#complete(undefined);
    return parser.consumed;
  }

  #readBody(chunk: Buffer, at: number): number {
    const decoder = this.#chunked;
    if (decoder === null) {
      const to = Math.min(chunk.length, at + this.#remaining);
      this.#body.push(chunk.subarray(at, to));
      this.#remaining -= to - at;
      if (this.#remaining === 0) this.#complete(undefined);
      return to;
    }
    const reading = decoder.read(chunk, at, chunk.length);
    if (reading === 'data') this.#body.push(chunk.subarray(decoder.dataStart, decoder.dataEnd));
    else if (reading === 'end') this.#complete(decoder.trailers ?? undefined);
    else if (reading !== 'partial') this.fault = reading;
    return decoder.offset;
  }

  #complete(trailers: readonly string[] | undefined): void {
    const { method, target, host, httpVersion, headers, upgrade, expectsContinue } = this.#parser;
    const { closeNamed, keepAliveNamed, connectionFields } = this.#parser;
    const persistent = !closeNamed && (httpVersion === '1.1' || keepAliveNamed);
    const body = Buffer.concat(this.#body).toString('latin1');
    this.requests.push({
      ...{ method, target, host, httpVersion, headers, upgrade, expectsContinue, persistent, body },
      ...(trailers ? { trailers } : {}),
      ...(connectionFields ? { connectionFields } : {}),
    });
    this.#inBody = false;
    this.#begun = false;
    this.#parser.begin();
  }
}

/** Reads `raw` cut into the pieces given. */
export function readPieces(pieces: readonly Buffer[]): RequestReader {
  const reader = new RequestReader();
  for (const piece of pieces) reader.feed(piece);
  return reader;
}
