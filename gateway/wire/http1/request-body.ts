import type { BodyReceiver } from '../downstream.ts';
import { copyPiece } from '../sockets/read-buffer.ts';
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

  /** Whether it will go on for more than `bytes`, as far as that is known. */
  exceeds(bytes: number, lastRead: number): boolean {
    return this.open && (this.#decoder === null ? this.#remaining : lastRead) > bytes;
  }

  /**
   * The whole body if `input[at, end)` begins with it; `offset` then stands behind it. Unless `owned`, the input is
   * copied before it is handed on.
   */
  take(input: Buffer | null, at: number, end: number, owned: boolean): Buffer | null {
    if (!this.open) return nothing;
    if (input === null || this.#decoder !== null || this.receiver !== null) return null;
    const bodyEnd = at + this.#remaining;
    if (bodyEnd > end) return null;
    this.open = false;
    this.offset = bodyEnd;
    return owned ? input.subarray(at, bodyEnd) : copyPiece(input, at, bodyEnd);
  }

  /** Reads the next piece of `input[at, end)`. */
  step(input: Buffer, at: number, end: number, owned: boolean): BodyStep {
    if (!this.discarding && (this.receiver === null || this.paused)) return 'waiting';
    if (this.#decoder !== null) return this.#stepChunked(this.#decoder, input, at, end, owned);
    const pieceEnd = Math.min(end, at + this.#remaining);
    this.#remaining -= pieceEnd - at;
    this.offset = pieceEnd;
    this.#deliver(input, at, pieceEnd, owned);
    return this.#remaining === 0 ? this.#finish(null) : 'more';
  }

  #stepChunked(decoder: ChunkedDecoder, input: Buffer, at: number, end: number, owned: boolean): BodyStep {
    const reading = decoder.read(input, at, end);
    if (reading === 'partial' || reading === 'data' || reading === 'end') this.offset = decoder.offset;
    if (reading === 'partial') return 'more';
    if (reading === 'data') {
      this.#deliver(input, decoder.dataStart, decoder.dataEnd, owned);
      return 'more';
    }
    return reading === 'end' ? this.#finish(decoder.trailers) : reading;
  }

  #deliver(input: Buffer, start: number, end: number, owned: boolean): void {
    const { receiver } = this;
    if (this.discarding || receiver === null) return;
    const piece = owned ? input.subarray(start, end) : copyPiece(input, start, end);
    if (!receiver.onBody(piece)) this.paused = true;
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
