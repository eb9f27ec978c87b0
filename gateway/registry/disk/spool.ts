import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { frameHeaderBytes, readFrames } from './frames.ts';

/** Where the frames of a snapshot are collected before any of it is in force. */
export interface Spool {
  append(frame: Buffer): Promise<void>;
  /** The payloads from the first frame on; may be read more than once. */
  read(): AsyncIterable<Buffer>;
  discard(): Promise<void>;
}

export class SpoolFile implements Spool {
  readonly #path: string;
  readonly #file: FileHandle;
  size = 0;
  #open = true;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<SpoolFile> {
    await rm(path, { force: true });
    return new SpoolFile(path, await open(path, 'wx', 0o600));
  }

  async append(frame: Buffer): Promise<void> {
    for (let written = 0; written < frame.length; ) {
      const { bytesWritten } = await this.#file.write(frame, written, frame.length - written, this.size);
      written += bytesWritten;
      this.size += bytesWritten;
    }
  }

  read(): AsyncIterable<Buffer> {
    return readFrames(this.#path, false);
  }

  async sync(): Promise<void> {
    await this.#file.sync();
  }

  async moveTo(path: string): Promise<void> {
    await this.#close();
    await rename(this.#path, path);
  }

  async discard(): Promise<void> {
    await this.#close();
    await rm(this.#path, { force: true });
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
  }
}

/** For a gateway without a data directory. */
export class SpoolMemory implements Spool {
  #frames: Buffer[] = [];

  async append(frame: Buffer): Promise<void> {
    this.#frames.push(frame);
  }

  async *read(): AsyncIterable<Buffer> {
    for (const frame of this.#frames) yield frame.subarray(frameHeaderBytes);
  }

  async discard(): Promise<void> {
    this.#frames = [];
  }
}
