import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { copyPiece } from './read-buffer.ts';

/** A socket whose bytes come through a sink, as a stream again: what an upgraded connection is handed over as. */
export class TunnelSocket extends Duplex {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    super({ allowHalfOpen: true });
    this.#socket = socket;
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  /** Bytes of the socket; see ByteSink. */
  feed(chunk: Buffer, size: number, owned: boolean): boolean {
    return this.push(owned ? chunk.subarray(0, size) : copyPiece(chunk, 0, size));
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
