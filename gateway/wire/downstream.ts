import type { Duplex } from 'node:stream';

/**
 * The client's side of one exchange, as a wire implements it. Header arrays are flat (`[name, value, …]`).
 * Framing (Content-Length, Transfer-Encoding, Connection, Date, Keep-Alive, Trailer) belongs to the wire:
 * callers pass none of it. A wire that speaks HTTP/2 lower-cases names as it sends them.
 */
export interface Downstream {
  /**
   * The whole request body if it has already arrived (an empty buffer when there is none), else null.
   * A body that was taken is not delivered again.
   */
  takeBody(): Buffer | null;
  /** Begins to deliver a body that was not taken. At most once for an exchange. */
  readBody(receiver: BodyReceiver): void;
  pauseBody(): void;
  resumeBody(): void;

  /** Sends an interim (1xx) response other than 101; ignored for HTTP/1.0. */
  writeInformation(status: number, headers: readonly string[]): void;
  /** Sends a complete response. `body` is left out for HEAD, 204 and 304 by the wire; its length is stated. */
  respond(status: number, headers: readonly string[], body: Uint8Array | null): void;
  /**
   * Starts a response whose body follows. `bodyLength` is its length in bytes, or -1 when unknown.
   * The wire may hold the head back until the first `write` or `end`, or until the current turn ends.
   */
  writeHead(status: number, headers: readonly string[], bodyLength: number): void;
  /** False asks the caller to wait for `Exchange.onDownstreamDrain`. */
  write(chunk: Uint8Array): boolean;
  /** Whether all that was written has left; absent where that is not known. */
  readonly flushed?: boolean;
  end(trailers: readonly string[] | null): void;
  /** Breaks the connection (HTTP/2: the stream), so that the client cannot take the response for whole. */
  destroy(): void;
  /** Answers 101 with these headers and hands over the connection, with any bytes that already followed. */
  switchProtocols(headers: readonly string[]): { socket: Duplex; head: Buffer };
}

/** Where a request body goes. */
export interface BodyReceiver {
  /** False asks the wire to pause until `Downstream.resumeBody`. The chunk may be kept. */
  onBody(chunk: Buffer): boolean;
  onBodyEnd(trailers: readonly string[] | null): void;
  /** The client left or broke the framing before the body was whole. */
  onBodyError(): void;
}
