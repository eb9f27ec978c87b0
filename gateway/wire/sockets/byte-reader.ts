import { Socket } from 'node:net';
import { ownBuffer, sharedBuffer } from './read-buffer.ts';

/** Who gets the bytes of a socket. */
export interface ByteSink {
  /**
   * Bytes have arrived in `chunk[0, size)`. They are gone after the call unless `owned`. False stops reading until
   * `socket.resume()`.
   */
  onBytes(chunk: Buffer, size: number, owned: boolean): boolean;
  /** Whether the next read is likely to fill a buffer that is worth keeping instead of copying out of it. */
  readonly wantsOwnBuffer: boolean;
}

/** The `onread` option of a socket (node:net): reads without a buffer and a stream event each. */
export class ByteReader {
  readonly #sink: ByteSink;
  #owned = false;
  #started = false;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** Null: go on with the buffer in use. */
  readonly buffer = (): Buffer => {
    if (this.#started && this.#sink.wantsOwnBuffer) {
      this.#owned = true;
      return ownBuffer();
    }
    if (this.#started && !this.#owned) return null as unknown as Buffer;
    this.#owned = false;
    return sharedBuffer;
  };

  readonly callback = (size: number, buffer: Uint8Array): boolean => {
    this.#started = true;
    return this.#sink.onBytes(buffer as Buffer, size, this.#owned);
  };
}

interface AcceptedSocket {
  _handle: { useUserBuffer?: unknown } | null;
  _server: unknown;
  server: unknown;
}

/**
 * Lets a sink read an accepted socket, and returns the socket to go on with. A server cannot be given `onread` for the
 * sockets it accepts, so the connection is moved to a socket that has it; the server must have been made with
 * `pauseOnConnect`. Where that is not possible (TLS, another runtime) the sink gets stream chunks, which it may keep.
 */
export function readBytes(socket: Socket, sink: ByteSink): Socket {
  const accepted = socket as unknown as AcceptedSocket;
  const handle = accepted._handle;
  if (handle === null || typeof handle.useUserBuffer !== 'function' || 'encrypted' in socket) {
    socket.on('data', (chunk: Buffer) => {
      if (!sink.onBytes(chunk, chunk.length, true)) socket.pause();
    });
    socket.resume();
    return socket;
  }
  const moved = new Socket({ handle, allowHalfOpen: true, onread: new ByteReader(sink) } as object);
  const owner = moved as unknown as AcceptedSocket;
  owner.server = accepted.server;
  owner._server = accepted._server;
  accepted._handle = null;
  accepted._server = null;
  return moved;
}
