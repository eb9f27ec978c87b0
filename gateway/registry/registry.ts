import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Change, DataKey, Delta } from '#contract/registry.ts';
import type { Channel } from '../channel.ts';
import type { RoutingInput } from '../compile.ts';
import type { KeyCounts } from '../credentials/key-table.ts';
import { recordKinds } from '../credentials/key-table-layout.ts';
import { SharedKeys } from '../credentials/shared-keys.ts';
import { DataKeys } from './data-keys.ts';
import { DiskCopy } from './disk/disk-copy.ts';
import { DiskWriter, loadState } from './disk/disk-writer.ts';
import { type EntrySink, readEntries, type SeenMessage } from './disk/entries.ts';
import { DiskCopyError } from './disk/frames.ts';
import { type SpoolFile, SpoolMemory } from './disk/spool.ts';
import { Distribution } from './distribution.ts';
import { Housekeeping } from './housekeeping.ts';
import type { KeyProvider } from './key-provider.ts';
import type { RegistryShare } from './messages.ts';
import { changedObjects, replacingChanges } from './routing-changes.ts';
import { SeenMessages } from './seen-messages.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import { type PlainChange, RegistryState, registryRecordKinds, type StoredChange } from './state.ts';

export interface RegistryOptions {
  /** The copy is kept in its folder `registry`; null keeps none. */
  readonly dataDir: string | null;
  readonly providers: readonly KeyProvider[];
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details: object) => void;
  /** What is wrong with routing that is about to be put in force, for example a policy of an unknown name. */
  readonly checkRouting?: (routing: RoutingInput) => readonly string[];
  /** `refuse`: a damaged copy is an error. `set_aside`: begin empty, as another source has the truth. */
  readonly onDamage: 'refuse' | 'set_aside';
  readonly maxTableBytes?: number;
  /** The log is compacted when it exceeds this and the snapshot. Default: 16 MiB. */
  readonly minCompactionBytes?: number;
}

/** A change that this gateway is the source of, and the portal's message that asked for it. */
export interface OwnChange {
  readonly changes: readonly Change[];
  readonly message?: SeenMessage;
}

/** A revision that was refused as a whole; the registry is as it was. */
export class RefusedRevisionError extends Error {
  override name = 'RefusedRevisionError';
}

/** A write to the disk copy failed, and so the change was not made. */
export class NotPersistedError extends Error {
  override name = 'NotPersistedError';
}

/**
 * The registry on the main thread: the only writer of the shared key table and of the disk copy. Revisions are
 * applied one after another, each whole. Keys, apps and plans are in force on all workers when a method has applied
 * them; services, routes and versions when the promise it gives resolves.
 */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #state: RegistryState;
  readonly #disk: DiskCopy | null;
  readonly #writer: DiskWriter;
  readonly #distribution: Distribution;
  readonly #housekeeping: Housekeeping;
  readonly #dataKeys: DataKeys;
  readonly #messages = new SeenMessages();
  /** Keys for use on the main thread. */
  readonly keys: SharedKeys;
  #applied: Promise<unknown> = Promise.resolve();
  #appliedRevision = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #compaction: Promise<void> | null = null;
  #declared = new Map<string, Change>();
  #closed = false;
  #filled = false;

  private constructor(options: RegistryOptions, state: RegistryState, disk: DiskCopy | null) {
    this.#options = options;
    this.#state = state;
    this.#disk = disk;
    this.#writer = new DiskWriter(state);
    this.#distribution = new Distribution((error) =>
      options.log('error', 'a worker could not put routing in force', { error }),
    );
    this.#housekeeping = new Housekeeping(state.table, () => {
      this.keys.forget();
      return this.#distribution.quiesce();
    });
    this.#dataKeys = new DataKeys({
      providers: options.providers,
      log: options.log,
      onOpened: (id, plaintext) => {
        state.setOpenedDataKey(id, plaintext);
        if (state.plain.certificate.size > 0) void this.#distribution.announceDataKey();
      },
    });
    this.keys = new SharedKeys(state.table.buffer, { maxDecoded: 64 });
  }

  /** Opens the registry as it is on disk. Rejects with a DiskCopyError of one line when that cannot be used. */
  static async open(options: RegistryOptions): Promise<Registry> {
    const limits = options.maxTableBytes === undefined ? {} : { maxBytes: options.maxTableBytes };
    const state = new RegistryState(limits);
    if (options.dataDir === null) return new Registry(options, state, null);
    const disk = await DiskCopy.open(join(options.dataDir, 'registry'), options.minCompactionBytes);
    const seen: SeenMessage[] = [];
    const startedAt = performance.now();
    let registry = new Registry(options, state, disk);
    try {
      await loadState(disk, state, (message) => seen.push(message));
    } catch (error) {
      if (!(error instanceof DiskCopyError) || options.onDamage === 'refuse') throw error;
      const folder = await disk.setAside(Date.now());
      options.log('error', 'the registry copy is damaged and was set aside', {
        error: error.message,
        folder,
      });
      registry = new Registry(options, new RegistryState(limits), disk);
      seen.length = 0;
    }
    for (const message of seen) registry.#messages.add(message);
    await registry.#dataKeys.open([...registry.#state.plain.data_key.values()]);
    registry.#appliedRevision = registry.#state.revision;
    registry.#filled = registry.revision > 0;
    options.log('info', 'registry opened from disk', {
      revision: registry.revision,
      records: registry.#state.table.size,
      ms: Math.round(performance.now() - startedAt),
    });
    return registry;
  }

  /** The revision that the main thread and the shared table are at; 0 when there has been none. */
  get revision(): number {
    return this.#state.revision;
  }

  /** Whether there is a registry, be it an empty one: from disk or from its source. */
  get isFilled(): boolean {
    return this.#filled;
  }

  /** The revision that every worker has applied. */
  get appliedRevision(): number {
    return this.#appliedRevision;
  }

  get routing(): RoutingInput {
    return this.#state.objects;
  }

  get keyCounts(): Readonly<KeyCounts> {
    return this.#state.table.keyCounts;
  }

  /** Data keys that no provider has opened yet; secrets under them cannot be verified. */
  get unopenedDataKeys(): number {
    return this.#dataKeys.unopened;
  }

  get tableBytes(): number {
    return this.#state.table.usage.pageBytes;
  }

  get diskBytes(): number {
    return this.#disk?.bytes ?? 0;
  }

  get persists(): boolean {
    return this.#disk !== null;
  }

  /** What a worker made now is to be given (`workerData`); `attach` has to follow in the same turn. */
  share(): RegistryShare {
    return { table: this.#state.table.buffer, objects: this.#state.replicated() };
  }

  attach(channel: Channel): void {
    this.#distribution.attach(channel);
  }

  detach(channel: Channel): void {
    this.#distribution.detach(channel);
  }

  /** Resolves when all that has been applied so far is in force on every worker. */
  async settled(): Promise<void> {
    await this.#turn.catch(() => undefined);
    await this.#applied;
  }

  /**
   * Applies a delta of the control plane; one that is not newer is ignored. Resolves when keys are in force; rejects
   * with a RefusedRevisionError when anything in it cannot be applied.
   */
  applyDelta({ revision, changes }: Delta): Promise<void> {
    return this.#exclusively(async () => {
      if (revision <= this.#state.revision) return;
      const stored = this.#pack(changes);
      await this.#prepare(stored);
      this.#state.revision = revision;
      const plain = this.#state.apply(stored);
      this.#record(stored);
      this.#publish(plain, revision);
    });
  }

  /**
   * Puts only the revocations and removals of keys in force that are among these changes, whatever else is wrong with
   * them. The revision stays; a refused revision shall not keep a revoked key alive.
   */
  applyRevocations(changes: readonly Change[]): Promise<number> {
    return this.#exclusively(async () => {
      const revocations = changes.filter(
        (change) => change.kind === 'key' && (change.object === null || change.object.status === 'revoked'),
      );
      const stored = this.#pack(revocations);
      this.#state.apply(stored);
      if (stored.length > 0) this.#record(stored);
      return revocations.length;
    });
  }

  /** Begins to collect a snapshot; `commitSnapshot` or `abandonSnapshot` has to follow. */
  async beginSnapshot(): Promise<SnapshotIntake> {
    await this.#compaction;
    return new SnapshotIntake((await this.#disk?.newSpool()) ?? new SpoolMemory(), this.#state);
  }

  async abandonSnapshot(intake: SnapshotIntake): Promise<void> {
    await intake.spool.discard();
  }

  /**
   * Replaces the registry by a collected snapshot. Routing changes in one step, keys one by one. Rejects with a
   * RefusedRevisionError, and the registry as it was, when it cannot be applied.
   */
  async commitSnapshot(intake: SnapshotIntake, revision: number): Promise<void> {
    await this.#exclusively(() =>
      this.#housekeeping.paused(async () => {
        const changes = replacingChanges(this.#state.plain, intake.plain);
        const stored = changes.map((change): StoredChange => ({ packed: false, change }));
        await this.#prepare(stored);
        const kept = intake.plain.map((change): StoredChange => ({ packed: false, change }));
        await intake.flush();
        await intake.spool.append(this.#writer.closingFrame(revision, kept, intake.records));
        await this.#replaceRecords(intake);
        this.#state.revision = revision;
        this.#filled = true;
        const plain = this.#state.apply(stored);
        this.#publish(plain, revision);
        if (this.#disk === null) return;
        await this.#compaction;
        await this.#disk
          .adopt(intake.spool as SpoolFile)
          .catch((error: unknown) => this.#onWriteError(error));
      }),
    );
  }

  /**
   * Makes changes that this gateway itself is the source of, and gives them the next revision. `decide` says which,
   * and sees all changes before; null makes none. They are on the disk before they are in force. Rejects with
   * RefusedRevisionError or NotPersistedError, and nothing changed.
   */
  change(decide: () => OwnChange | null): Promise<void> {
    return this.#exclusively(async () => {
      const decided = decide();
      if (decided === null) return;
      const { changes, message = null } = decided;
      const revision = this.#state.revision + 1;
      const stored = this.#pack(changes);
      await this.#prepare(stored);
      if (this.#disk !== null) {
        try {
          await this.#disk.append(this.#writer.revisionFrame(revision, stored, message), true);
        } catch (error) {
          this.#writer.forgetWritten();
          throw new NotPersistedError((error as Error).message, { cause: error });
        }
      }
      if (message !== null) this.#messages.add(message);
      this.#state.revision = revision;
      this.#publish(this.#state.apply(stored), revision);
    });
  }

  /** The messages of a portal that have been acted on. */
  get messages(): SeenMessages {
    return this.#messages;
  }

  /**
   * Makes the objects of the configuration (file, environment) exactly these. They are not written to disk, and what
   * has been pushed (`change`) under the same id stands above them.
   */
  declare(changes: readonly Change[]): Promise<void> {
    return this.#exclusively(async () => {
      const declared = new Map(changes.map((change) => [`${change.kind} ${change.id}`, change]));
      const all: Change[] = [...changes.filter((change) => !this.#isPushed(change))];
      for (const [name, { kind, id }] of this.#declared) {
        const gone = { kind, id, object: null } as Change;
        if (!declared.has(name) && !this.#isPushed(gone)) all.push(gone);
      }
      const stored = this.#pack(all);
      await this.#prepare(stored);
      this.#declared = declared;
      this.#publish(this.#state.apply(stored, true), this.#state.revision);
    });
  }

  /** The declared object of this kind and id, if the configuration has one. */
  isDeclared(kind: Change['kind'], id: string): boolean {
    return this.#declared.has(`${kind} ${id}`);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#turn.catch(() => undefined);
    await this.#compaction;
    this.#dataKeys.close();
    await this.#disk?.close();
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => {
      if (this.#closed) throw new Error('the registry is closed');
      return work();
    });
    this.#turn = result.catch(() => undefined).then(() => this.#tidy());
    return result;
  }

  #pack(changes: readonly Change[]): StoredChange[] {
    try {
      return this.#state.pack(changes);
    } catch (error) {
      throw new RefusedRevisionError((error as Error).message);
    }
  }

  /** Checks what is about to be applied and opens its data keys. */
  async #prepare(stored: readonly StoredChange[]): Promise<void> {
    const plain = stored.filter((change) => !change.packed).map(({ change }) => change);
    if (plain.length === 0) return;
    const errors = this.#options.checkRouting?.(changedObjects(this.#state.objects, plain)) ?? [];
    if (errors.length > 0) throw new RefusedRevisionError(errors.join('; '));
    const dataKeys: DataKey[] = [];
    for (const change of plain) {
      if (change.kind !== 'data_key') continue;
      if (change.object === null) this.#dataKeys.forget(change.id);
      else dataKeys.push(change.object);
    }
    await this.#dataKeys.open(dataKeys);
  }

  async #replaceRecords(intake: SnapshotIntake): Promise<void> {
    const { table } = this.#state;
    table.beginReplacement();
    for (const keysOnly of [false, true]) {
      const sink: EntrySink = {
        onRecord: (record) => {
          if ((record[0] === recordKinds.key) === keysOnly) table.setRecord(record);
        },
        onRevision: () => undefined,
        onInterned: () => undefined,
        onRemoval: () => undefined,
        onPlain: () => undefined,
        onMessage: () => undefined,
      };
      const facts = { head: null, records: 0, expected: -1 };
      for await (const payload of intake.spool.read()) {
        readEntries(payload, sink, 'snapshot', facts);
        await setImmediate();
      }
    }
    for (const _ of table.endReplacement(registryRecordKinds)) await setImmediate();
  }

  /** Appends what is in force already to the disk copy, behind the caller's back. */
  #record(stored: readonly StoredChange[]): void {
    if (this.#disk === null) return;
    const frame = this.#writer.revisionFrame(this.#state.revision, stored, null);
    this.#disk.append(frame, false).catch((error: unknown) => this.#onWriteError(error));
  }

  #publish(plain: readonly PlainChange[], revision: number): void {
    const replicated = plain.filter((change) => change.kind !== 'data_key');
    const published = replicated.length > 0 ? this.#distribution.publish(replicated) : null;
    this.#applied = Promise.all([this.#applied, published]).then(() => {
      this.#appliedRevision = revision;
    });
  }

  #isPushed({ kind, id }: Change): boolean {
    if (kind !== 'key' && kind !== 'app' && kind !== 'plan') return false;
    const reference = this.#state.table.find(recordKinds[kind], id);
    return reference !== 0 && !this.#state.table.isTransient(reference);
  }

  #onWriteError(error: unknown): void {
    this.#writer.forgetWritten();
    this.#options.log('error', 'the registry copy cannot be written', { error: (error as Error).message });
  }

  /** After each revision: space of the table, size of the log. */
  #tidy(): void {
    this.#housekeeping.check();
    if (!this.#disk?.wantsCompaction || this.#compaction !== null || this.#closed) return;
    const disk = this.#disk;
    const persistent = (kind: string, id: string): boolean => !this.#declared.has(`${kind} ${id}`);
    this.#compaction = this.#housekeeping
      .paused(() => disk.compact(() => this.#writer.snapshotFrames(persistent, this.#messages.all())))
      .catch((error: unknown) => this.#onWriteError(error))
      .finally(() => {
        this.#compaction = null;
      });
  }
}
