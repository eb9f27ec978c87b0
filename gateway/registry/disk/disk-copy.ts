import { access, constants, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppendLog } from './append-log.ts';
import { type EntrySink, type FileHead, FrameBuilder, formatVersion } from './entries.ts';
import { DiskCopyError } from './frames.ts';
import { takeOwnership } from './owner.ts';
import { readCopyFile } from './read-copy-file.ts';
import { SpoolFile } from './spool.ts';

const defaultCompactionBytes = 16 * 1024 * 1024;
const incomingName = 'registry.incoming';
const compactingName = 'registry.compacting';
const filePattern = /^registry-(\d+)\.(snapshot|log)$/;

/**
 * The registry on disk: `registry-N.snapshot` and the logs from N on, each frame of which is one revision. Loading
 * reads them in order; compacting starts log N+1, writes snapshot N+1 and removes what came before. A copy has one
 * owner.
 */
export class DiskCopy {
  readonly #folder: string;
  readonly #release: () => Promise<void>;
  readonly #minCompactionBytes: number;
  #generation = 0;
  #log: AppendLog | null = null;
  #logBytes = 0;
  #snapshotBytes = 0;
  /** A revision could not be appended: the logs cannot be continued, only replaced. */
  #behind = false;
  #compacting = false;

  private constructor(folder: string, minCompactionBytes: number, release: () => Promise<void>) {
    this.#folder = folder;
    this.#release = release;
    this.#minCompactionBytes = minCompactionBytes;
  }

  /**
   * Makes the folder if needed. Rejects with a DiskCopyError that names it when it cannot be written to or another
   * process uses it. Logs are compacted when they exceed the snapshot and `minCompactionBytes`.
   */
  static async open(folder: string, minCompactionBytes = defaultCompactionBytes): Promise<DiskCopy> {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    } catch (error) {
      throw new DiskCopyError(`${folder}: cannot be written to (${(error as NodeJS.ErrnoException).code})`);
    }
    return new DiskCopy(folder, minCompactionBytes, await takeOwnership(join(folder, 'owner')));
  }

  /**
   * Reads everything into the sink, frame by frame, and opens the log for appending. An unfinished last frame is cut
   * off. Throws DiskCopyError for anything that is damaged; `setAside` then makes a new start possible.
   */
  async load(sink: EntrySink): Promise<void> {
    for (const name of [incomingName, compactingName]) await rm(join(this.#folder, name), { force: true });
    const { snapshots, logs } = await this.#list();
    const base = snapshots.at(-1) ?? 0;
    if (base > 0) {
      const path = this.#path(base, 'snapshot');
      this.#snapshotBytes = (await readCopyFile(path, 'snapshot', sink, { mayBeTorn: false })).size;
    }
    this.#generation = Math.max(base, 1);
    let size = 0;
    let previous = 0;
    const following = logs.filter((generation) => generation >= base);
    for (const generation of following) {
      if (previous > 0 && generation !== previous + 1) {
        throw new DiskCopyError(`${this.#path(previous + 1, 'log')}: is missing`);
      }
      const path = this.#path(generation, 'log');
      const mayBeTorn = generation === following.at(-1);
      const loaded = await readCopyFile(path, 'log', sink, {
        mayBeTorn,
        skipAfterGap: generation !== base,
      });
      if (loaded.skipped) {
        for (const later of following) if (later >= generation) await rm(this.#path(later, 'log'));
        break;
      }
      previous = generation;
      this.#generation = generation;
      size = loaded.size;
      this.#logBytes += size;
    }
    await this.#openLog(size);
    await this.#removeBefore(base);
  }

  /** Moves damaged files out of the way, for inspection, and starts an empty copy. Returns the new folder. */
  async setAside(nowMs: number): Promise<string> {
    await this.#log?.close();
    const folder = join(this.#folder, `damaged-${nowMs}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#folder)) {
      if (filePattern.test(name)) await rename(join(this.#folder, name), join(folder, name));
    }
    this.#generation = 1;
    this.#logBytes = 0;
    this.#snapshotBytes = 0;
    await this.#openLog(0);
    return folder;
  }

  /** Appends one frame. Resolves when it is in the file; when `durable`, on the disk. */
  async append(frame: Buffer, durable: boolean): Promise<void> {
    if (this.#behind) throw new DiskCopyError(`${this.#folder}: an earlier write failed`);
    this.#logBytes += frame.length;
    try {
      await this.#log!.append(frame, durable);
    } catch (error) {
      // A frame that was refused to its sender is not missing; one that is in force already is.
      if (!durable) this.#behind = true;
      throw error;
    }
  }

  get wantsCompaction(): boolean {
    return (
      !this.#compacting &&
      (this.#behind || this.#logBytes > Math.max(this.#minCompactionBytes, this.#snapshotBytes))
    );
  }

  get bytes(): number {
    return this.#logBytes + this.#snapshotBytes;
  }

  /**
   * Writes a new snapshot. `frames` is read after the log has been switched, and may show changes appended since.
   * `end` makes its last frame.
   */
  async compact(frames: () => AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    this.#compacting = true;
    const afterGap = this.#behind;
    let headed = false;
    try {
      await this.#nextLog(afterGap);
      headed = true;
      const spool = await SpoolFile.create(join(this.#folder, compactingName));
      try {
        for await (const frame of frames()) await spool.append(frame);
        await spool.sync();
        await this.#log!.sync();
        await this.#install(spool);
      } catch (error) {
        await spool.discard();
        throw error;
      }
    } catch (error) {
      // Without its head, or the snapshot that it follows on, the new log cannot be continued.
      this.#behind ||= afterGap || !headed;
      throw error;
    } finally {
      this.#compacting = false;
    }
  }

  /** A file that a snapshot can be collected in; `adopt` or `discard` it. */
  newSpool(): Promise<SpoolFile> {
    return SpoolFile.create(join(this.#folder, incomingName));
  }

  /** Makes a collected snapshot the copy, in the place of all that was. Nothing may be appended meanwhile. */
  async adopt(spool: SpoolFile): Promise<void> {
    try {
      await spool.sync();
      await this.#nextLog(true);
      await this.#install(spool);
    } catch (error) {
      this.#behind = true;
      await spool.discard();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#log?.close();
    this.#log = null;
    await this.#release();
  }

  async #nextLog(afterGap: boolean): Promise<void> {
    const previous = this.#log!;
    this.#generation++;
    const log = await AppendLog.open(this.#path(this.#generation, 'log'), 0);
    log.follow(previous);
    const headed = this.#appendHead(log, afterGap);
    this.#log = log;
    this.#behind = false;
    await headed;
  }

  async #install(spool: SpoolFile): Promise<void> {
    this.#snapshotBytes = spool.size;
    this.#logBytes = this.#log!.size;
    await spool.moveTo(this.#path(this.#generation, 'snapshot'));
    await syncFolder(this.#folder);
    await this.#removeBefore(this.#generation);
  }

  async #openLog(size: number): Promise<void> {
    const log = await AppendLog.open(this.#path(this.#generation, 'log'), size);
    if (size === 0) await this.#appendHead(log, false);
    this.#log = log;
  }

  async #appendHead(log: AppendLog, afterGap: boolean): Promise<void> {
    const builder = new FrameBuilder();
    builder.head({ format: formatVersion, content: 'log', ...(afterGap ? { afterGap } : {}) });
    await log.append(builder.take(), true);
    await syncFolder(this.#folder);
  }

  async #list(): Promise<{ snapshots: number[]; logs: number[] }> {
    const snapshots: number[] = [];
    const logs: number[] = [];
    for (const name of await readdir(this.#folder)) {
      const match = filePattern.exec(name);
      if (match) (match[2] === 'log' ? logs : snapshots).push(Number(match[1]));
    }
    const ascending = (a: number, b: number): number => a - b;
    return { snapshots: snapshots.sort(ascending), logs: logs.sort(ascending) };
  }

  async #removeBefore(generation: number): Promise<void> {
    const { snapshots, logs } = await this.#list();
    const old = (number: number): boolean => number < generation;
    for (const number of snapshots.filter(old)) await rm(this.#path(number, 'snapshot'));
    for (const number of logs.filter(old)) await rm(this.#path(number, 'log'));
  }

  #path(generation: number, content: FileHead['content']): string {
    return join(this.#folder, `registry-${generation}.${content}`);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
