import type { BodyReceiver } from '../downstream.ts';
import { ChunkedDecoder } from './chunked.ts';
import type { RequestFault } from './faults.ts';

const nothing = Buffer.alloc(0);

/** `waiting`: nobody takes the bytes now. */
export type BodyStep = 'more' | 'whole' | 'waiting' | RequestFault;

/** The body of one request as it arrives: framing (RFC 9112 section 6), delivery and backpressure. */
export class RequestBody {
  /** Not all of it has been read. */
  open = false;
  paused = false;
  /** Read and thrown away. */
  discarding = false;
  receiver: BodyReceiver | null = null;
  #remaining = 0;
  #decoder: ChunkedDecoder | null = null;
  /** The offset behind what the last step has read. */
  offset = 0;

  /** `length`: -1 chunked. */
  begin(length: number): void {
    this.open = length !== 0;
    this.paused = false;
    this.discarding = false;
    this.receiver = null;
    this.#remaining = length;
    this.#decoder = length < 0 ? new ChunkedDecoder() : null;
  }

  /** Bytes that are still to come; -1 when that is not known. */
  get remaining(): number {
    return this.#decoder === null ? this.#remaining : -1;
  }

  /** The whole body if `input` holds it from `at` on; `offset` then stands behind it. */
  take(input: Buffer | null, at: number): Buffer | null {
    if (!this.open) return nothing;
    if (input === null || this.#decoder !== null || this.receiver !== null) return null;
    const end = at + this.#remaining;
    if (end > input.length) return null;
    this.open = false;
    this.offset = end;
    return at === 0 && end === input.length ? input : input.subarray(at, end);
  }

  /** Reads the next piece of `input[at, …)`. */
  step(input: Buffer, at: number): BodyStep {
    if (!this.discarding && (this.receiver === null || this.paused)) return 'waiting';
    return this.#decoder === null ? this.#stepFixed(input, at) : this.#stepChunked(this.#decoder, input, at);
  }

  #stepFixed(input: Buffer, at: number): BodyStep {
    const end = Math.min(input.length, at + this.#remaining);
    this.#remaining -= end - at;
    this.offset = end;
    this.#deliver(input, at, end);
    return this.#remaining === 0 ? this.#finish(null) : 'more';
  }

  #stepChunked(decoder: ChunkedDecoder, input: Buffer, at: number): BodyStep {
    const reading = decoder.read(input, at, input.length);
    if (reading === 'partial' || reading === 'data' || reading === 'end') this.offset = decoder.offset;
    if (reading === 'partial') return 'more';
    if (reading === 'data') {
      this.#deliver(input, decoder.dataStart, decoder.dataEnd);
      return 'more';
    }
    return reading === 'end' ? this.#finish(decoder.trailers) : reading;
  }

  #deliver(input: Buffer, start: number, end: number): void {
    const { receiver } = this;
    if (this.discarding || receiver === null) return;
    if (!receiver.onBody(input.subarray(start, end))) this.paused = true;
  }

  #finish(trailers: readonly string[] | null): BodyStep {
    this.open = false;
    const { receiver } = this;
    this.receiver = null;
    if (!this.discarding) receiver?.onBodyEnd(trailers);
    return 'whole';
  }

  /** The body will not become whole. */
  fail(): void {
    if (!this.open) return;
    this.open = false;
    const { receiver } = this;
    this.receiver = null;
    if (!this.discarding) receiver?.onBodyError();
  }
}
