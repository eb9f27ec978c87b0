import type {
  App,
  Certificate,
  Change,
  DataKey,
  Key,
  ObjectKind,
  Plan,
  Route,
  Service,
} from '#contract/registry.ts';
import type { Version } from '#contract/versions.ts';
import { encodeApp, encodeKey } from '../credentials/key-record.ts';
import { KeyTable, type KeyTableOptions } from '../credentials/key-table.ts';
import { recordFlags, recordKinds } from '../credentials/key-table-layout.ts';
import { packRecord } from '../credentials/packed-record.ts';
import type { Replicated } from './routing-changes.ts';

/** Kinds that live in the shared table; the others are few and, data keys apart, replicated to workers by message. */
export type PackedKind = 'key' | 'app' | 'plan';
export type PlainKind = Exclude<ObjectKind, PackedKind>;
export type PlainChange = Extract<Change, { kind: PlainKind }>;
/** What workers hold in maps. */
export type ReplicatedChange = Exclude<PlainChange, { kind: 'data_key' }>;

/** A change in the form in which it is stored: `record` for packed objects, null for a removal. */
export type StoredChange =
  | { readonly packed: true; readonly kind: PackedKind; readonly id: string; readonly record: Buffer | null }
  | { readonly packed: false; readonly change: PlainChange };

/** Every record of these kinds belongs to the registry; the others are the table's own. */
export const registryRecordKinds = [recordKinds.key, recordKinds.app, recordKinds.plan] as const;

const maxInterned = 65_536;
/** The order in which objects appear, so that none refers to one that is not there yet; they go in reverse. */
const order: readonly ObjectKind[] = [
  'data_key',
  'plan',
  'app',
  'version',
  'service',
  'route',
  'certificate',
  'key',
];

/** A text that records refer to by number. */
export interface InternedText {
  readonly number: number;
  readonly text: string;
}

/** The registry as the main thread holds it: keys, apps and plans packed in the shared table, the rest in maps. */
export class RegistryState {
  readonly table: KeyTable;
  readonly plain = {
    service: new Map<string, Service>(),
    route: new Map<string, Route>(),
    version: new Map<string, Version>(),
    certificate: new Map<string, Certificate>(),
    data_key: new Map<string, DataKey>(),
  };
  revision = 0;
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];

  constructor(options: KeyTableOptions = {}) {
    this.table = new KeyTable(options);
  }

  get objects(): Replicated {
    const { service, route, version, certificate } = this.plain;
    return { services: service, routes: route, versions: version, certificates: certificate };
  }

  /** Interned texts from number `from` on. */
  internedSince(from: number): InternedText[] {
    return this.#texts.slice(from).map((text, index) => ({ number: from + index, text }));
  }

  get internedCount(): number {
    return this.#texts.length;
  }

  /** Takes over an interned text that was stored; false when its number is taken by another. */
  restoreInterned({ number, text }: InternedText): boolean {
    if (this.#texts[number] !== undefined) return this.#texts[number] === text;
    if (number !== this.#texts.length) return false;
    this.#addInterned(text);
    return true;
  }

  /**
   * Turns changes into the form in which they are stored: the last one of each object, in the order in which they
   * are to be applied. Throws RangeError when one cannot be held.
   */
  pack(changes: readonly Change[]): StoredChange[] {
    const last = new Map<string, Change>();
    for (const change of changes) last.set(`${change.kind} ${change.id}`, change);
    const sets: StoredChange[][] = order.map(() => []);
    const removals: StoredChange[][] = order.map(() => []);
    for (const change of last.values()) {
      const place = order.indexOf(change.kind);
      (change.object === null ? removals : sets)[place]!.push(this.packOne(change));
    }
    return [...sets.flat(), ...removals.reverse().flat()];
  }

  packOne(change: Change): StoredChange {
    const { kind, id } = change;
    if (kind !== 'key' && kind !== 'app' && kind !== 'plan') return { packed: false, change };
    const record = change.object === null ? null : this.#record(kind, id, change.object as Key | App | Plan);
    return { packed: true, kind, id, record };
  }

  /** All that workers hold in maps. */
  replicated(): ReplicatedChange[] {
    const changes: ReplicatedChange[] = [];
    for (const kind of ['service', 'route', 'version', 'certificate'] as const) {
      for (const [id, object] of this.plain[kind]) changes.push({ kind, id, object } as ReplicatedChange);
    }
    return changes;
  }

  /** Puts stored changes in force. The changes of what workers hold in maps are returned. */
  apply(changes: readonly StoredChange[], transient = false): PlainChange[] {
    const plain: PlainChange[] = [];
    const flags = transient ? recordFlags.transient : 0;
    for (const stored of changes) {
      if (!stored.packed) {
        if (this.#applyPlain(stored.change)) plain.push(stored.change);
      } else if (stored.record === null) this.table.remove(recordKinds[stored.kind], stored.id);
      else this.table.setRecord(stored.record, flags);
    }
    return plain;
  }

  /** The opened data key under which secrets are sealed; held in memory only. */
  setOpenedDataKey(id: string, plaintext: Uint8Array): void {
    this.table.set(recordKinds.dataKey, id, plaintext, recordFlags.transient);
  }

  #applyPlain(change: PlainChange): boolean {
    const { kind, id, object } = change;
    const map: Map<string, unknown> = this.plain[kind];
    if (object === null) {
      if (kind === 'data_key') this.table.remove(recordKinds.dataKey, id);
      return map.delete(id);
    }
    map.set(id, object);
    return true;
  }

  #record(kind: PackedKind, id: string, object: Key | App | Plan): Buffer {
    if (kind === 'key') return packRecord(recordKinds.key, id, encodeKey(object as Key, this.#intern));
    if (kind === 'app') return packRecord(recordKinds.app, id, encodeApp(object as App, this.#intern));
    return packRecord(recordKinds.plan, id, Buffer.from(JSON.stringify(object)));
  }

  readonly #intern = (text: string): number | null => {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    if (this.#texts.length >= maxInterned || text.length > 4096) return null;
    return this.#addInterned(text);
  };

  #addInterned(text: string): number {
    const number = this.#texts.length;
    this.#texts.push(text);
    this.#numbers.set(text, number);
    this.table.set(recordKinds.interned, String(number), Buffer.from(text), recordFlags.transient);
    return number;
  }
}
