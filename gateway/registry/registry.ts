import { join } from 'node:path';
import type { Change, DataKey, Delta, ObjectKind } from '#contract/registry.ts';
import type { Channel } from '../channel.ts';
import type { RoutingInput } from '../compile.ts';
import type { KeyCounts } from '../credentials/key-table.ts';
import { recordKinds } from '../credentials/key-table-layout.ts';
import { SharedKeys } from '../credentials/shared-keys.ts';
import { DataKeys } from './data-keys.ts';
import { DeclaredObjects } from './declared-objects.ts';
import type { DiskCopy } from './disk/disk-copy.ts';
import type { SeenMessage } from './disk/entries.ts';
import { Distribution } from './distribution.ts';
import { Housekeeping } from './housekeeping.ts';
import type { KeyProvider } from './key-provider.ts';
import type { RegistryShare } from './messages.ts';
import { type Log, openCopy, Persistence } from './persistence.ts';
import { replaceRecords } from './replace-records.ts';
import { changedObjects, replacingChanges } from './routing-changes.ts';
import { SeenMessages } from './seen-messages.ts';
import { SnapshotIntake } from './snapshot-intake.ts';
import { type PlainChange, RegistryState, type StoredChange } from './state.ts';

export interface RegistryOptions {
  /** The copy is kept in its folder `registry`; null keeps none. */
  readonly dataDir: string | null;
  readonly providers: readonly KeyProvider[];
  readonly log: Log;
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

/**
 * The registry on the main thread: the only writer of the shared key table and of the disk copy. Revisions are
 * applied one after another, each whole. Keys, apps and plans are in force on all workers when a method has applied
 * them; services, routes and versions when the promise it gives resolves.
 */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #state: RegistryState;
  readonly #persistence: Persistence;
  readonly #distribution: Distribution;
  readonly #housekeeping: Housekeeping;
  readonly #dataKeys: DataKeys;
  readonly #messages = new SeenMessages();
  /** Keys for use on the main thread. */
  readonly keys: SharedKeys;
  #applied: Promise<unknown> = Promise.resolve();
  #appliedRevision = 0;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #declared = new DeclaredObjects();
  #closed = false;
  #filled = false;

  private constructor(options: RegistryOptions, state: RegistryState, persistence: Persistence) {
    this.#options = options;
    this.#state = state;
    this.#persistence = persistence;
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
    const { dataDir, log, onDamage, minCompactionBytes } = options;
    const startedAt = performance.now();
    const make = (disk: DiskCopy | null): Registry => {
      const state = new RegistryState(
        options.maxTableBytes === undefined ? {} : { maxBytes: options.maxTableBytes },
      );
      return new Registry(options, state, new Persistence(state, disk, log));
    };
    if (dataDir === null) return make(null);
    let registry: Registry | null = null;
    const copy = {
      folder: join(dataDir, 'registry'),
      onDamage,
      log,
      ...(minCompactionBytes === undefined ? {} : { minCompactionBytes }),
    };
    await openCopy(copy, async (disk, isFresh) => {
      registry = make(disk);
      if (!isFresh) await registry.#load();
    });
    const opened = registry! as Registry;
    log('info', 'registry opened from disk', {
      revision: opened.revision,
      records: opened.#state.table.size,
      ms: Math.round(performance.now() - startedAt),
    });
    return opened;
  }

  /** The revision that the main thread and the shared table are at; 0 when there has been none. */
  get revision(): number {
    return this.#state.revision;
  }

  /** Whether there is a whole registry, be it an empty one: from disk or from its source. */
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

  /** There are data keys, and none of them is open: no sealed secret can be verified. */
  get isSealed(): boolean {
    const { size } = this.#state.plain.data_key;
    return size > 0 && this.#dataKeys.unopened >= size;
  }

  get tableBytes(): number {
    return this.#state.table.usage.pageBytes;
  }

  get diskBytes(): number {
    return this.#persistence.bytes;
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
      const wasFilled = this.#filled;
      this.#filled = false;
      const plain = this.#state.apply(stored);
      this.#filled = wasFilled;
      this.#state.revision = revision;
      this.#persistence.record(stored);
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
      if (stored.length > 0) this.#persistence.record(stored);
      return revocations.length;
    });
  }

  /** Begins to collect a snapshot; `commitSnapshot` or `abandonSnapshot` has to follow. */
  async beginSnapshot(): Promise<SnapshotIntake> {
    return new SnapshotIntake(await this.#persistence.newSpool(), this.#state);
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
        await this.#persistence.complete(intake, revision);
        // What fails from here on leaves a mixture, and all of it has to be asked for again.
        this.#filled = false;
        await replaceRecords(this.#state.table, intake.spool);
        this.#state.revision = revision;
        this.#filled = true;
        const plain = this.#state.apply(stored);
        this.#publish(plain, revision);
        await this.#persistence.adopt(intake);
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
      await this.#persistence.write(revision, stored, message);
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
      const all = this.#declared.changesTo(changes).filter((change) => !this.#isPushed(change));
      const stored = this.#pack(all);
      await this.#prepare(stored);
      this.#declared.set(changes);
      this.#publish(this.#state.apply(stored, true), this.#state.revision);
    });
  }

  /** The declared object of this kind and id, if the configuration has one. */
  isDeclared(kind: Change['kind'], id: string): boolean {
    return this.#declared.has(kind, id);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#turn.catch(() => undefined);
    this.#dataKeys.close();
    await this.#persistence.close();
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

  /** After each revision: space of the table, size of the log. */
  #tidy(): void {
    if (this.#closed) return;
    this.#housekeeping.check();
    const isPersistent = (kind: ObjectKind, id: string): boolean => !this.#declared.has(kind, id);
    this.#persistence.tidy(this.#housekeeping, isPersistent, this.#messages);
  }

  async #load(): Promise<void> {
    await this.#persistence.load(this.#messages);
    await this.#dataKeys.open([...this.#state.plain.data_key.values()]);
    this.#appliedRevision = this.#state.revision;
    this.#filled = this.#state.revision > 0;
  }
}
