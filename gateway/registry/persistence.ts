import type { ObjectKind } from '#contract/registry.ts';
import { DiskCopy } from './disk/disk-copy.ts';
import { DiskWriter, loadState } from './disk/disk-writer.ts';
import type { SeenMessage } from './disk/entries.ts';
import { DiskCopyError } from './disk/frames.ts';
import { type Spool, SpoolFile, SpoolMemory } from './disk/spool.ts';
import type { Housekeeping } from './housekeeping.ts';
import type { SeenMessages } from './seen-messages.ts';
import type { SnapshotIntake } from './snapshot-intake.ts';
import type { RegistryState, StoredChange } from './state.ts';

export type Log = (level: 'info' | 'warn' | 'error', message: string, details: object) => void;

/** A write to the disk copy failed, and so the change was not made. */
export class NotPersistedError extends Error {
  override name = 'NotPersistedError';
}

/** Keeps the disk copy of a registry up with it; without a disk it keeps nothing. */
export class Persistence {
  readonly #state: RegistryState;
  readonly #disk: DiskCopy | null;
  readonly #log: Log;
  readonly #writer: DiskWriter;
  #compaction: Promise<void> | null = null;

  constructor(state: RegistryState, disk: DiskCopy | null, log: Log) {
    this.#state = state;
    this.#disk = disk;
    this.#log = log;
    this.#writer = new DiskWriter(state);
  }

  get bytes(): number {
    return this.#disk?.bytes ?? 0;
  }

  /** Fills the state, which has to be empty, from the disk. Rejects with DiskCopyError. */
  async load(messages: SeenMessages): Promise<void> {
    if (this.#disk !== null) await loadState(this.#disk, this.#state, (message) => messages.add(message));
  }

  /** Appends what is in force already, without waiting. */
  record(changes: readonly StoredChange[]): void {
    if (this.#disk === null) return;
    const frame = this.#writer.revisionFrame(this.#state.revision, changes, null);
    this.#disk.append(frame, false).catch((error: unknown) => this.#onWriteError(error));
  }

  /** Writes a revision that is not in force yet. Rejects with NotPersistedError. */
  async write(
    revision: number,
    changes: readonly StoredChange[],
    message: SeenMessage | null,
  ): Promise<void> {
    if (this.#disk === null) return;
    try {
      await this.#disk.append(this.#writer.revisionFrame(revision, changes, message), true);
    } catch (error) {
      this.#writer.forgetWritten();
      throw new NotPersistedError((error as Error).message, { cause: error });
    }
  }

  /** A place to collect a snapshot in. */
  async newSpool(): Promise<Spool> {
    await this.#compaction;
    return (await this.#disk?.newSpool()) ?? new SpoolMemory();
  }

  /** Completes a collected snapshot by what is not packed. Until `adopt`, no revision may be recorded. */
  async complete(intake: SnapshotIntake, revision: number): Promise<void> {
    await intake.flush();
    const plain = intake.plain.map((change): StoredChange => ({ packed: false, change }));
    await intake.spool.append(this.#writer.closingFrame(revision, plain, intake.records));
  }

  /** Makes a completed snapshot, which is in force, the copy. */
  async adopt({ spool }: SnapshotIntake): Promise<void> {
    await this.#compaction;
    if (this.#disk === null || !(spool instanceof SpoolFile)) return;
    await this.#disk.adopt(spool).catch((error: unknown) => this.#onWriteError(error));
  }

  /** Compacts the log when it is time; returns at once. */
  tidy(
    housekeeping: Housekeeping,
    isPersistent: (kind: ObjectKind, id: string) => boolean,
    seen: SeenMessages,
  ): void {
    const disk = this.#disk;
    if (disk === null || !disk.wantsCompaction || this.#compaction !== null) return;
    this.#compaction = housekeeping
      .paused(() => disk.compact(() => this.#writer.snapshotFrames(isPersistent, seen.all())))
      .catch((error: unknown) => this.#onWriteError(error))
      .finally(() => {
        this.#compaction = null;
      });
  }

  async close(): Promise<void> {
    await this.#compaction;
    await this.#disk?.close();
  }

  #onWriteError(error: unknown): void {
    this.#writer.forgetWritten();
    this.#log('error', 'the registry copy cannot be written', { error: (error as Error).message });
  }
}

/**
 * Opens the copy in a folder and makes a registry's state of it by `load`. A damaged copy is set aside when `onDamage`
 * says so, and `load` is called again to begin empty.
 */
export async function openCopy(
  options: {
    readonly folder: string;
    readonly minCompactionBytes?: number;
    readonly onDamage: 'refuse' | 'set_aside';
    readonly log: Log;
  },
  load: (disk: DiskCopy, isFresh: boolean) => Promise<void>,
): Promise<void> {
  const { folder, minCompactionBytes, onDamage, log } = options;
  const disk = await DiskCopy.open(folder, minCompactionBytes);
  try {
    await load(disk, false);
  } catch (error) {
    if (!(error instanceof DiskCopyError) || onDamage === 'refuse') {
      await disk.close();
      throw error;
    }
    const aside = await disk.setAside(Date.now());
    log('error', 'the registry copy is damaged and was set aside', { error: error.message, folder: aside });
    await load(disk, true);
  }
}
