import type { ObjectKind } from '#contract/registry.ts';
import { recordKinds } from '../../credentials/key-table-layout.ts';
import { type RegistryState, registryRecordKinds, type StoredChange } from '../state.ts';
import type { DiskCopy } from './disk-copy.ts';
import { type EntrySink, FrameBuilder, formatVersion, type SeenMessage } from './entries.ts';
import { DiskCopyError } from './frames.ts';

const frameBytes = 256 * 1024;

/** Puts a registry's changes and snapshots into frames, and a disk copy back into a registry. */
export class DiskWriter {
  readonly #state: RegistryState;
  readonly #builder = new FrameBuilder();
  /** How many interned texts the files hold already. */
  #interned = 0;

  constructor(state: RegistryState) {
    this.#state = state;
  }

  /** The frame of one revision. */
  revisionFrame(revision: number, changes: readonly StoredChange[], message: SeenMessage | null): Buffer {
    const builder = this.#builder;
    for (const interned of this.#state.internedSince(this.#interned)) builder.interned(interned);
    this.#interned = this.#state.internedCount;
    for (const change of changes) builder.change(change);
    if (message !== null) builder.message(message);
    builder.revision(revision);
    return builder.take();
  }

  /** A frame was not written after all: what it said of interned texts has to be said again. */
  forgetWritten(): void {
    this.#interned = 0;
  }

  /**
   * The whole registry as frames of a snapshot. Made while changes go on: what changes meanwhile may or may not be in
   * it, and is in the log. Records must not move meanwhile. `persistent` says which plain objects belong to it.
   */
  *snapshotFrames(
    persistent: (kind: ObjectKind, id: string) => boolean,
    messages: Iterable<SeenMessage>,
  ): Generator<Buffer, void> {
    const builder = new FrameBuilder();
    builder.head({ format: formatVersion, content: 'snapshot' });
    this.#writeState(builder, persistent, messages);
    yield builder.take();
    let records = 0;
    for (const page of this.#state.table.records(registryRecordKinds)) {
      for (const record of page) {
        builder.record(record);
        records++;
      }
      if (builder.bytes >= frameBytes) yield builder.take();
    }
    builder.end(records);
    yield builder.take();
  }

  /** The last frame of a collected snapshot, which holds `records` records and this state besides. */
  closingFrame(revision: number, changes: readonly StoredChange[], records: number): Buffer {
    const builder = this.#builder;
    for (const interned of this.#state.internedSince(0)) builder.interned(interned);
    this.#interned = this.#state.internedCount;
    for (const change of changes) builder.change(change);
    builder.revision(revision);
    builder.end(records);
    return builder.take();
  }

  #writeState(
    builder: FrameBuilder,
    persistent: (kind: ObjectKind, id: string) => boolean,
    messages: Iterable<SeenMessage>,
  ): void {
    for (const interned of this.#state.internedSince(0)) builder.interned(interned);
    for (const kind of ['data_key', 'version', 'service', 'route', 'certificate'] as const) {
      for (const [id, object] of this.#state.plain[kind]) {
        if (persistent(kind, id)) builder.plain({ kind, id, object } as never);
      }
    }
    for (const message of messages) builder.message(message);
    builder.revision(this.#state.revision);
  }
}

/** Loads the copy into an empty state. Throws DiskCopyError; the state is then of no use. */
export async function loadState(
  copy: DiskCopy,
  state: RegistryState,
  onMessage: (message: SeenMessage) => void,
): Promise<void> {
  const sink: EntrySink = {
    onRevision: (revision) => {
      state.revision = revision;
    },
    onInterned: (interned) => {
      if (!state.restoreInterned(interned)) throw new DiskCopyError('the registry copy contradicts itself');
    },
    onRecord: (record) => void state.table.setRecord(record),
    onRemoval: (kind, id) => void state.table.remove(recordKinds[kind], id),
    onPlain: (change) => void state.apply([{ packed: false, change }]),
    onMessage,
  };
  await copy.load(sink);
}
