import type { Seat } from './seat.ts';

/** How far the upstream may run ahead of the slowest client once the body is not kept. */
const windowBytes = 256 * 1024;

/**
 * The body of a flight on its way to its seats. While it is kept, every piece stays, for seats that come later and for
 * storing; afterwards only what some seat has still to be sent.
 */
export class BodyRelay {
  #pieces: Buffer[] = [];
  /** The number of the first piece that is held. */
  #first = 0;
  #heldBytes = 0;
  #kept: boolean;
  #whole = false;
  #trailers: readonly string[] | null = null;
  totalBytes = 0;

  constructor(kept: boolean) {
    this.#kept = kept;
  }

  get kept(): boolean {
    return this.#kept;
  }

  /** False asks the upstream to wait. */
  push(piece: Buffer, seats: Iterable<Seat>): boolean {
    this.#pieces.push(piece);
    this.#heldBytes += piece.length;
    this.totalBytes += piece.length;
    for (const seat of seats) this.feed(seat);
    if (this.#kept) return true;
    this.#trim(seats);
    return this.#heldBytes <= windowBytes;
  }

  finish(trailers: readonly string[] | null): void {
    this.#whole = true;
    this.#trailers = trailers;
  }

  /** Sends a seat all that it can take. Returns whether the seat has had the whole. */
  feed(seat: Seat): boolean {
    if (!seat.served) return false;
    const { exchange } = seat.request;
    const end = this.#first + this.#pieces.length;
    while (seat.next < end && !seat.blocked) {
      const piece = this.#pieces[seat.next - this.#first]!;
      seat.next++;
      if (!exchange.sendData(piece)) seat.blocked = true;
    }
    if (!this.#whole || seat.next < end) return false;
    exchange.source = null;
    exchange.sendEnd(this.#trailers);
    return true;
  }

  /** Keeps only what seats have still to be sent from now on. */
  stopKeeping(seats: Iterable<Seat>): void {
    this.#kept = false;
    this.#trim(seats);
  }

  /** After a seat was served or left: whether the upstream may go on. */
  relieve(seats: Iterable<Seat>): boolean {
    if (this.#kept) return true;
    this.#trim(seats);
    return this.#heldBytes <= windowBytes;
  }

  #trim(seats: Iterable<Seat>): void {
    let slowest = this.#first + this.#pieces.length;
    for (const seat of seats) if (seat.served && seat.next < slowest) slowest = seat.next;
    const gone = slowest - this.#first;
    if (gone <= 0) return;
    for (let i = 0; i < gone; i++) this.#heldBytes -= this.#pieces[i]!.length;
    if (gone === this.#pieces.length) this.#pieces = [];
    else this.#pieces.splice(0, gone);
    this.#first = slowest;
  }

  /** The whole body in memory of its own; `allocate` gives that memory. */
  collect(allocate: (bytes: number) => Buffer): Buffer {
    const body = allocate(this.totalBytes);
    let at = 0;
    for (const piece of this.#pieces) at += piece.copy(body, at);
    return body;
  }
}
