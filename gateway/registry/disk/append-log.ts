import { type FileHandle, open } from 'node:fs/promises';

interface Pending {
  readonly frame: Buffer;
  readonly durable: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A file that frames are appended to, in order. What waits while a write is under way goes out with the next one.
 * A write that fails leaves the file as it was before.
 */
export class AppendLog {
  readonly path: string;
  readonly #file: FileHandle;
  #size: number;
  #pending: Pending[] = [];
  #running: Promise<void> | null = null;
  #after: Promise<void> | null = null;

  private constructor(path: string, file: FileHandle, size: number) {
    this.path = path;
    this.#file = file;
    this.#size = size;
  }

  /** Opens the file for appending after its first `size` bytes; what follows them is cut off. */
  static async open(path: string, size: number): Promise<AppendLog> {
    const file = await open(path, size === 0 ? 'w' : 'r+', 0o600);
    if (size > 0) await file.truncate(size);
    return new AppendLog(path, file, size);
  }

  /** Writes nothing before `previous` is on the disk; closes it. */
  follow(previous: AppendLog): void {
    this.#after = previous.sync().then(() => previous.close());
    this.#after.catch(() => undefined);
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  /** Resolves when the frame is in the file, and `durable` on the disk too. */
  append(frame: Buffer, durable: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ frame, durable, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when all that was appended before is on the disk. */
  async sync(): Promise<void> {
    await this.#running;
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#running;
    await this.#file.close();
  }

  async #run(): Promise<void> {
    // Lets everything of this turn go out with one write.
    await null;
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      const bytes = batch.length === 1 ? batch[0]!.frame : Buffer.concat(batch.map(({ frame }) => frame));
      try {
        await this.#after;
        await this.#write(bytes);
        if (batch.some(({ durable }) => durable)) await this.#file.datasync();
        this.#size += bytes.length;
        for (const { resolve } of batch) resolve();
      } catch (error) {
        await this.#file.truncate(this.#size).catch(() => undefined);
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = null;
  }

  async #write(bytes: Buffer): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(
        bytes,
        written,
        bytes.length - written,
        this.#size + written,
      );
      written += bytesWritten;
    }
  }
}
