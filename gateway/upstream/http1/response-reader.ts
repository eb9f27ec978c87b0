import { ChunkedDecoder } from '../../wire/http1/chunked.ts';
import type { ResponseFault } from '../../wire/http1/faults.ts';
import { ResponseParser } from './response-parser.ts';

/** Receives a response as it is read: interim ones, the head, pieces of the body, then one of the last three. */
export interface ResponseSink {
  onInformation(status: number, headers: string[]): void;
  onHead(status: number, headers: string[], bodyLength: number): void;
  /** The bytes are `chunk[start, end)`, valid during the call. */
  onBody(chunk: Buffer, start: number, end: number): void;
  /** The response is whole. `clean`: nothing stands behind it. */
  onComplete(trailers: string[] | null, clean: boolean): void;
  /** 101: what follows belongs to the new protocol. */
  onSwitch(headers: string[]): void;
  /** `reset`: the connection ended before the response was whole. */
  onFault(fault: ResponseFault | 'reset'): void;
}

const maxInformation = 32;

/** Reads one response at a time, interim ones included, from bytes that may be split anywhere. */
export class ResponseReader {
  readonly parser = new ResponseParser();
  #method = '';
  #upgradeAsked = false;
  #inBody = false;
  #remaining = 0;
  #chunked: ChunkedDecoder | null = null;
  #information = 0;
  #touched = false;

  /** Whether anything of the response has arrived. */
  get touched(): boolean {
    return this.#touched;
  }

  /** Bytes of the body still to come, where that is known; else -1. */
  get remaining(): number {
    return this.#inBody && this.parser.framing === 'length' ? this.#remaining : -1;
  }

  /** Whether a read of more than `bytes` of body is to be expected; where the length is unknown, as the last one was. */
  streams(bytes: number, lastRead: number): boolean {
    if (!this.#inBody) return false;
    return (this.parser.framing === 'length' ? this.#remaining : lastRead) > bytes;
  }

  begin(method: string, upgradeAsked: boolean): void {
    this.#method = method;
    this.#upgradeAsked = upgradeAsked;
    this.#inBody = false;
    this.#chunked = null;
    this.#information = 0;
    this.#touched = false;
    this.parser.begin(method, upgradeAsked);
  }

  /** Reads the next part of `chunk[start, end)` and returns the offset behind it. To be called until nothing is left. */
  read(chunk: Buffer, start: number, end: number, sink: ResponseSink): number {
    this.#touched = true;
    return this.#inBody ? this.#readBody(chunk, start, end, sink) : this.#readHead(chunk, start, end, sink);
  }

  /** The connection has ended. */
  readEnd(sink: ResponseSink): void {
    if (this.#inBody && this.parser.framing === 'close') sink.onComplete(null, true);
    else sink.onFault('reset');
  }

  #readHead(chunk: Buffer, start: number, end: number, sink: ResponseSink): number {
    const parser = this.parser;
    const reading = parser.read(chunk, start, end);
    if (reading === 'partial') return end;
    if (reading !== 'complete') {
      sink.onFault(reading);
      return end;
    }
    const { consumed, status, headers, framing, bodyLength } = parser;
    if (status < 200) {
      if (status === 101) sink.onSwitch(headers);
      else this.#readInformation(status, headers, sink);
      return consumed;
    }
    this.#inBody = true;
    if (framing === 'length') this.#remaining = bodyLength;
    else if (framing === 'chunked') this.#chunked = new ChunkedDecoder();
    sink.onHead(status, headers, bodyLength);
    if (framing === 'none') sink.onComplete(null, consumed === end);
    return consumed;
  }

  #readInformation(status: number, headers: string[], sink: ResponseSink): void {
    if (++this.#information > maxInformation) {
      sink.onFault('too_much_information');
      return;
    }
    this.parser.begin(this.#method, this.#upgradeAsked);
    sink.onInformation(status, headers);
  }

  #readBody(chunk: Buffer, start: number, end: number, sink: ResponseSink): number {
    const decoder = this.#chunked;
    if (decoder !== null) return this.#readChunked(decoder, chunk, start, end, sink);
    if (this.parser.framing === 'close') {
      sink.onBody(chunk, start, end);
      return end;
    }
    const to = end - start > this.#remaining ? start + this.#remaining : end;
    this.#remaining -= to - start;
    sink.onBody(chunk, start, to);
    if (this.#remaining === 0) sink.onComplete(null, to === end);
    return to;
  }

  #readChunked(
    decoder: ChunkedDecoder,
    chunk: Buffer,
    start: number,
    end: number,
    sink: ResponseSink,
  ): number {
    const reading = decoder.read(chunk, start, end);
    if (reading === 'data') sink.onBody(chunk, decoder.dataStart, decoder.dataEnd);
    else if (reading === 'end') sink.onComplete(decoder.trailers, decoder.offset === end);
    else if (reading !== 'partial') sink.onFault(reading);
    return reading === 'data' || reading === 'end' || reading === 'partial' ? decoder.offset : end;
  }
}
