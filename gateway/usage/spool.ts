import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { identifyProcess, isRunning } from './process-identity.ts';
import { countEvents, findRecord, readRecord, recordHeader, recordHeaderBytes } from './spool-segment.ts';

export interface SpoolOptions {
  readonly directory: string;
  /** What unacknowledged batches may take on disk; newer ones are dropped and counted. Default: 1 GiB. */
  readonly maxBytes?: number;
  /** Default: 8 MiB. */
  readonly segmentBytes?: number;
  /**
   * When written batches are forced to the disk: `always` after every write, `interval` once a second, `never` when
   * the system likes. Only a crash of the machine tells the difference; a killed process loses nothing written.
   */
  readonly fsync?: 'always' | 'interval' | 'never';
  /** What may wait in memory for a slow disk; more is dropped and counted. Default: 32 MiB. */
  readonly maxBufferedBytes?: number;
}

export interface SpoolStats {
  readonly acceptedEvents: number;
  readonly acknowledgedEvents: number;
  /** Given up because the spool was full. */
  readonly droppedEvents: number;
  /** Waiting, in memory and on disk. */
  readonly pendingEvents: number;
  readonly pendingBytes: number;
  /** Places in segments that could not be read. */
  readonly damagedRecords: number;
  readonly writeFailures: number;
}

/** Batches read from the spool, to be acknowledged together. */
export interface SpoolChunk {
  readonly batches: readonly Buffer[];
  readonly events: number;
  readonly segment: number;
  readonly end: number;
}

interface Waiting {
  readonly payload: Uint8Array;
  readonly events: number;
}

const openDirectories = new Set<string>();
const segmentPattern = /^(\d{12})\.segment$/;

/**
 * A queue of batches on disk: appended to numbered segments, read in order, removed when acknowledged. A batch may be
 * read again after a restart, never skipped. One process owns a directory.
 */
export class Spool {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #segmentBytes: number;
  readonly #fsync: 'always' | 'interval' | 'never';
  readonly #maxBufferedBytes: number;
  /** Numbers and sizes of the segments on disk, oldest first; the last one is written to. */
  readonly #segments: { number: number; size: number }[] = [];
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | null = null;
  #handle: FileHandle | null = null;
  #dirty = false;
  #syncTimer: NodeJS.Timeout | null = null;
  #readSegment = 0;
  #readOffset = 0;
  #cursorWrite: Promise<void> | null = null;
  #cursorStale = false;
  #onData: (() => void) | null = null;
  #closed = false;
  #acceptedEvents = 0;
  #acknowledgedEvents = 0;
  #droppedEvents = 0;
  #pendingEvents = 0;
  #damagedRecords = 0;
  #writeFailures = 0;

  private constructor(options: SpoolOptions) {
    this.#directory = resolve(options.directory);
    this.#maxBytes = options.maxBytes ?? 1 << 30;
    this.#segmentBytes = options.segmentBytes ?? 8 << 20;
    this.#fsync = options.fsync ?? 'interval';
    this.#maxBufferedBytes = options.maxBufferedBytes ?? 32 << 20;
  }

  /** Opens or creates a spool; rejects when another live process has it. */
  static async open(options: SpoolOptions): Promise<Spool> {
    const spool = new Spool(options);
    mkdirSync(spool.#directory, { recursive: true, mode: 0o700 });
    spool.#lock();
    try {
      await spool.#load();
    } catch (error) {
      spool.#unlock();
      throw error;
    }
    return spool;
  }

  get stats(): SpoolStats {
    let pendingBytes = this.#waitingBytes - this.#readOffset;
    for (const segment of this.#segments) pendingBytes += segment.size;
    return {
      acceptedEvents: this.#acceptedEvents,
      acknowledgedEvents: this.#acknowledgedEvents,
      droppedEvents: this.#droppedEvents,
      pendingEvents: this.#pendingEvents,
      pendingBytes: Math.max(0, pendingBytes),
      damagedRecords: this.#damagedRecords,
      writeFailures: this.#writeFailures,
    };
  }

  /** Takes a batch over; false when there was no room and its events were dropped. */
  append(payload: Uint8Array, events: number): boolean {
    const size = payload.length + recordHeaderBytes;
    const full = this.#waitingBytes + size > this.#maxBufferedBytes;
    if (this.#closed || full || this.#sizeOnDisk() + this.#waitingBytes + size > this.#maxBytes) {
      this.#droppedEvents += events;
      return false;
    }
    this.#acceptedEvents += events;
    this.#pendingEvents += events;
    this.#waiting.push({ payload, events });
    this.#waitingBytes += size;
    this.#writing ??= this.#write();
    return true;
  }

  /** The oldest batches not yet acknowledged, at least one and about `maxBytes`; null when there are none on disk. */
  async read(maxBytes: number): Promise<SpoolChunk | null> {
    for (;;) {
      const segment = this.#segments[0];
      if (!segment) return null;
      if (segment.number !== this.#readSegment) {
        this.#readSegment = segment.number;
        this.#readOffset = 0;
      }
      const chunk =
        this.#readOffset < segment.size ? await this.#readAt(segment, this.#readOffset, maxBytes) : null;
      if (chunk) return chunk;
      if (this.#segments.length === 1) return null;
      await this.#removeOldest();
    }
  }

  /** Forgets the batches of a chunk; it must be the one read last. */
  acknowledge(chunk: SpoolChunk): void {
    if (chunk.segment !== this.#readSegment || chunk.end <= this.#readOffset) return;
    this.#readOffset = chunk.end;
    this.#acknowledgedEvents += chunk.events;
    this.#pendingEvents -= chunk.events;
    this.#saveCursor();
  }

  /** Resolves when there may be something to read. */
  waitForData(): Promise<void> {
    return new Promise((resolve) => {
      this.#onData = resolve;
    });
  }

  /** Wakes whoever waits for data. */
  wake(): void {
    const wake = this.#onData;
    this.#onData = null;
    wake?.();
  }

  /** Resolves when all that was appended before is on disk. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    await this.#sync();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.flush();
    if (this.#syncTimer) clearTimeout(this.#syncTimer);
    while (this.#cursorWrite) await this.#cursorWrite;
    await this.#handle?.close();
    this.#handle = null;
    this.#unlock();
    this.wake();
  }

  #sizeOnDisk(): number {
    let size = 0;
    for (const segment of this.#segments) size += segment.size;
    return size;
  }

  #path(segment: number): string {
    return join(this.#directory, `${String(segment).padStart(12, '0')}.segment`);
  }

  #lock(): void {
    const path = join(this.#directory, 'lock');
    if (openDirectories.has(this.#directory)) throw new Error(`spool ${this.#directory} is open already`);
    try {
      writeFileSync(path, identifyProcess(), { flag: 'wx' });
    } catch {
      const owner = readFileSync(path, 'utf8');
      if (owner !== identifyProcess() && isRunning(owner)) {
        throw new Error(`spool ${this.#directory} belongs to the running process ${owner.split(' ')[0]}`);
      }
      writeFileSync(path, identifyProcess());
    }
    openDirectories.add(this.#directory);
  }

  #unlock(): void {
    openDirectories.delete(this.#directory);
    rmSync(join(this.#directory, 'lock'), { force: true });
  }

  async #load(): Promise<void> {
    const numbers: number[] = [];
    for (const name of await readdir(this.#directory)) {
      const match = segmentPattern.exec(name);
      if (match) numbers.push(Number(match[1]));
    }
    numbers.sort((a, b) => a - b);
    const cursor = await this.#loadCursor();
    for (const number of numbers) {
      const path = this.#path(number);
      if (number < cursor.segment) {
        await rm(path, { force: true });
        continue;
      }
      const bytes = await readFile(path);
      const offset = number === cursor.segment ? cursor.offset : 0;
      const events = countEvents(bytes, offset);
      if (events === 0) {
        await rm(path, { force: true });
        continue;
      }
      this.#pendingEvents += events;
      this.#segments.push({ number, size: bytes.length });
    }
    if (this.#segments[0]?.number === cursor.segment) {
      this.#readSegment = cursor.segment;
      this.#readOffset = cursor.offset;
    }
    await this.#startSegment(Math.max(numbers.at(-1) ?? 0, cursor.segment) + 1);
  }

  async #loadCursor(): Promise<{ segment: number; offset: number }> {
    try {
      const [segment, offset] = (await readFile(join(this.#directory, 'acknowledged'), 'utf8')).split(' ');
      return { segment: Number(segment) || 0, offset: Number(offset) || 0 };
    } catch {
      return { segment: 0, offset: 0 };
    }
  }

  async #startSegment(number: number): Promise<void> {
    const handle = await open(this.#path(number), 'wx', 0o600);
    await this.#sync();
    await this.#handle?.close();
    this.#handle = handle;
    this.#segments.push({ number, size: 0 });
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const taken = this.#waiting;
      const takenBytes = this.#waitingBytes;
      this.#waiting = [];
      const pieces: Uint8Array[] = [];
      for (const { payload, events } of taken) pieces.push(recordHeader(payload, events), payload);
      try {
        if (this.#segments.at(-1)!.size >= this.#segmentBytes) {
          await this.#startSegment(this.#segments.at(-1)!.number + 1);
        }
        const segment = this.#segments.at(-1)!;
        await writeAll(this.#handle!, pieces, segment.size);
        if (this.#fsync === 'always') await this.#handle!.datasync();
        segment.size += takenBytes;
        this.#waitingBytes -= takenBytes;
        this.#dirty = this.#fsync === 'interval';
        if (this.#dirty && !this.#closed)
          this.#syncTimer ??= setTimeout(() => void this.#sync(), 1000).unref();
        this.wake();
      } catch {
        // The same place is written again: what a failed write left behind is not part of the segment.
        this.#writeFailures++;
        this.#waiting = [...taken, ...this.#waiting];
        if (this.#closed) break;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
    this.#writing = null;
  }

  async #sync(): Promise<void> {
    if (this.#syncTimer) clearTimeout(this.#syncTimer);
    this.#syncTimer = null;
    if (!this.#dirty) return;
    this.#dirty = false;
    await this.#handle?.datasync().catch(() => this.#writeFailures++);
  }

  async #readAt(
    segment: { number: number; size: number },
    offset: number,
    maxBytes: number,
  ): Promise<SpoolChunk | null> {
    const handle = await open(this.#path(segment.number), 'r');
    try {
      const limit = segment.size;
      let bytes = await readRange(handle, offset, Math.min(maxBytes, limit - offset));
      const batches: Buffer[] = [];
      let events = 0;
      let at = 0;
      while (offset + at < limit) {
        const record = readRecord(bytes, at);
        if (!('fault' in record)) {
          batches.push(record.payload);
          events += record.events;
          at = record.end;
        } else if (record.fault === 'short' && offset + at + record.need <= limit) {
          if (batches.length > 0) break;
          bytes = await readRange(handle, offset, at + record.need);
        } else {
          if (offset + bytes.length < limit) bytes = await readRange(handle, offset, limit - offset);
          const next = findRecord(bytes, at);
          this.#damagedRecords++;
          at = next < 0 ? limit - offset : next;
        }
      }
      return batches.length === 0 ? null : { batches, events, segment: segment.number, end: offset + at };
    } finally {
      await handle.close();
    }
  }

  async #removeOldest(): Promise<void> {
    const oldest = this.#segments.shift()!;
    this.#readSegment = this.#segments[0]!.number;
    this.#readOffset = 0;
    await rm(this.#path(oldest.number), { force: true });
    this.#saveCursor();
  }

  /** Keeps at most one write of the cursor under way; an old cursor only means that batches are sent twice. */
  #saveCursor(): void {
    this.#cursorStale = true;
    this.#cursorWrite ??= (async () => {
      const path = join(this.#directory, 'acknowledged');
      while (this.#cursorStale) {
        this.#cursorStale = false;
        try {
          await writeFile(`${path}.new`, `${this.#readSegment} ${this.#readOffset}`);
          await rename(`${path}.new`, path);
        } catch {
          this.#writeFailures++;
        }
      }
      this.#cursorWrite = null;
    })();
  }
}

async function readRange(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function writeAll(handle: FileHandle, pieces: Uint8Array[], position: number): Promise<void> {
  const bytes = Buffer.concat(pieces);
  let written = 0;
  while (written < bytes.length) {
    const result = await handle.write(bytes, written, bytes.length - written, position + written);
    written += result.bytesWritten;
  }
}
