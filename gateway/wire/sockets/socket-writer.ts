import type { Socket } from 'node:net';

/** Bodies up to this size are copied behind their head, so that both leave in one write without a vector. */
const maxCopiedBytes = 8192;
const stagingBytes = 65_536;

let staging = Buffer.allocUnsafeSlow(stagingBytes);

/** What a TCP socket of this runtime has beneath its stream; writes that the kernel takes at once end with 0. */
interface StreamHandle {
  writeLatin1String(request: null, text: string): number | PendingWrite;
  writeBuffer(request: null, bytes: Uint8Array): number | PendingWrite;
}

/** A write that the kernel has not taken whole. */
interface PendingWrite {
  handle: StreamHandle;
  oncomplete: (status: number) => void;
  async: boolean;
  writeStatus: number | null;
  /** Keeps the bytes alive. */
  buffer: Uint8Array | null;
}

/** The calls above are node's own and may change with it: elsewhere everything goes through the stream. */
const direct = process.versions.node.startsWith('26.');

/**
 * Writes heads (8-bit text) and small bodies with one system call each. On a plain socket that has nothing waiting they
 * go past the stream's bookkeeping, which costs more than the write; whatever the kernel does not take at once makes
 * the following writes go through the stream, so that backpressure holds.
 */
export class SocketWriter {
  readonly #socket: Socket & { _handle?: StreamHandle | null };
  readonly #plain: boolean;
  #pending = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#plain = direct && !('encrypted' in socket);
  }

  /** Whether the kernel has taken everything. */
  get flushed(): boolean {
    return !this.#pending && this.#socket.writableLength === 0;
  }

  /** False: the socket wants to be waited for (`drain`). */
  writeHead(head: string): boolean {
    const handle = this.#usableHandle();
    if (handle === null) return this.#socket.write(head, 'latin1');
    this.#settle(handle, handle.writeLatin1String(null, head), null);
    return true;
  }

  writeWithHead(head: string, body: Uint8Array): boolean {
    const socket = this.#socket;
    const total = head.length + body.length;
    if (body.length > maxCopiedBytes || total > stagingBytes) {
      socket.cork();
      socket.write(head, 'latin1');
      const flowing = socket.write(body);
      socket.uncork();
      return flowing;
    }
    // Used again only when the socket has taken everything at once; otherwise it now belongs to that socket.
    const used = staging;
    used.write(head, 0, 'latin1');
    used.set(body, head.length);
    const bytes = used.subarray(0, total);
    const handle = this.#usableHandle();
    if (handle !== null) {
      this.#settle(handle, handle.writeBuffer(null, bytes), bytes);
      if (this.#pending) staging = Buffer.allocUnsafeSlow(stagingBytes);
      return true;
    }
    const flowing = socket.write(bytes);
    if (socket.writableLength > 0) staging = Buffer.allocUnsafeSlow(stagingBytes);
    return flowing;
  }

  #usableHandle(): StreamHandle | null {
    if (!this.#plain || this.#pending) return null;
    const socket = this.#socket;
    return socket.writableLength === 0 && socket.writable ? (socket._handle ?? null) : null;
  }

  #settle(handle: StreamHandle, result: number | PendingWrite, bytes: Uint8Array | null): void {
    if (result === 0) return;
    if (typeof result === 'number') {
      this.#fail(result);
      return;
    }
    this.#pending = true;
    result.handle = handle;
    result.async = true;
    result.buffer = bytes;
    result.oncomplete = (status) => {
      this.#pending = false;
      result.buffer = null;
      if (status < 0) this.#fail(status);
    };
    const { writeStatus } = result;
    if (writeStatus !== null && writeStatus !== undefined) {
      result.writeStatus = null;
      result.oncomplete(writeStatus);
    }
  }

  #fail(status: number): void {
    this.#socket.destroy(new Error(`write failed (${status})`));
  }
}
