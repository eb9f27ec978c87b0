import type { Change } from '#contract/registry.ts';
import { FrameBuilder, formatVersion } from './disk/entries.ts';
import type { Spool } from './disk/spool.ts';
import type { PlainChange, RegistryState } from './state.ts';

const frameBytes = 256 * 1024;

/** Collects a snapshot that arrives change by change, packed, outside memory where there is a disk. */
export class SnapshotIntake {
  readonly spool: Spool;
  /** Services, routes, versions and data keys of the snapshot. */
  readonly plain: PlainChange[] = [];
  records = 0;
  count = 0;
  readonly #state: RegistryState;
  readonly #builder = new FrameBuilder();

  constructor(spool: Spool, state: RegistryState) {
    this.spool = spool;
    this.#state = state;
    this.#builder.head({ format: formatVersion, content: 'snapshot' });
  }

  /** Adds a change. When it returns a promise, no other may be added before that resolves. Throws RangeError. */
  add(change: Change): Promise<void> | undefined {
    this.count++;
    const stored = this.#state.packOne(change);
    if (!stored.packed) {
      this.plain.push(stored.change);
      return undefined;
    }
    if (stored.record === null) throw new RangeError('a snapshot cannot remove objects');
    this.records++;
    this.#builder.record(stored.record);
    return this.#builder.bytes < frameBytes ? undefined : this.flush();
  }

  flush(): Promise<void> {
    return this.#builder.bytes === 0 ? Promise.resolve() : this.spool.append(this.#builder.take());
  }
}
