import { LRUCache } from 'lru-cache';
import { type BroadPurge, isPurged, RemovalLog } from './removal.ts';
import { type ResponseRecord, StoredResponse } from './stored-response.ts';
import { type SelectingRequest, selectingKey } from './vary.ts';

/** What answers of a resource are selected by. */
interface Shape {
  readonly vary: readonly string[];
  readonly perConsumer: boolean;
}

const keptShapes = 10_000;

/** The stored responses of one resource that name the same selecting fields. */
interface VariantGroup extends Shape {
  readonly variants: Map<string, StoredResponse>;
}

interface Resource {
  readonly groups: VariantGroup[];
}

/** Whom and what a response is looked up for. */
export interface Lookup {
  readonly resource: string;
  readonly partition: string;
  readonly consumer: string | null;
}

/** Which stored response, without what it holds. */
export type RecordIdentity = Pick<
  ResponseRecord,
  'resource' | 'partition' | 'consumer' | 'vary' | 'selecting' | 'responseTimeMs'
>;

export interface StoreUsage {
  bytes: number;
  entries: number;
  evictions: number;
}

/** Stored responses of one worker, the least recently used leaving first when `maxBytes` is reached. */
export class ResponseStore {
  readonly #resources = new Map<string, Resource>();
  readonly #entries: LRUCache<StoredResponse, StoredResponse>;
  readonly #removals = new RemovalLog();
  /** The latest answer's, also while its body is still coming. */
  readonly #shapes = new Map<string, Shape>();
  readonly #usage = new Map<string, StoreUsage>();

  constructor(maxBytes: number, onEvict: (entry: StoredResponse) => void = () => undefined) {
    this.#entries = new LRUCache<StoredResponse, StoredResponse>({
      maxSize: maxBytes,
      sizeCalculation: (entry) => entry.size,
      dispose: (entry, _key, reason) => {
        this.#detach(entry, reason === 'evict');
        if (reason === 'evict') onEvict(entry);
      },
    });
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Bytes, entries and evictions by route. */
  usage(): ReadonlyMap<string, Readonly<StoreUsage>> {
    return this.#usage;
  }

  /** The most recent stored response that a request selects (RFC 9111 section 4.1), fresh or not. */
  find(lookup: Lookup, request: SelectingRequest): StoredResponse | null {
    const resource = this.#resources.get(lookup.resource);
    if (resource === undefined) return null;
    let found: StoredResponse | null = null;
    for (const group of resource.groups) {
      const key = variantKey(group, lookup, request);
      if (key === null) continue;
      const entry = group.variants.get(key);
      if (entry !== undefined && (found === null || isNewer(entry, found))) found = entry;
    }
    if (found !== null) this.#entries.get(found);
    return found;
  }

  /** Whether anything is stored for the resource, for another request maybe. */
  has(resource: string): boolean {
    return this.#resources.has(resource);
  }

  /** Remembers what an answer is selected by, before it is stored. */
  learn({ resource, vary, consumer }: Pick<ResponseRecord, 'resource' | 'vary' | 'consumer'>): void {
    this.#shapes.delete(resource);
    if (vary.length === 0 && consumer === null) return;
    this.#shapes.set(resource, { vary, perConsumer: consumer !== null });
    if (this.#shapes.size > keptShapes) this.#shapes.delete(this.#shapes.keys().next().value!);
  }

  /**
   * The key under which requests for one response meet: the resource and, as far as its answers have told, what selects
   * among its variants.
   */
  meetingKey(lookup: Lookup, request: SelectingRequest): string {
    const shape = this.#shapes.get(lookup.resource) ?? this.#resources.get(lookup.resource)?.groups.at(-1);
    const key = shape === undefined ? null : variantKey(shape, lookup, request);
    return `${lookup.resource} ${key ?? lookup.partition}`;
  }

  /** Stores a response, unless it was asked for before a removal that covers it or is too large. */
  put(record: ResponseRecord): StoredResponse | null {
    if (this.#removals.covers(record, record.requestTimeMs)) return null;
    const entry = new StoredResponse(record);
    if (entry.size > this.#entries.maxSize) return null;
    const key = recordKey(record);
    const former = this.#groupOf(record)?.variants.get(key);
    if (former !== undefined) {
      // News from another worker may be older than what is here.
      if (former.record.requestTimeMs > record.requestTimeMs) return former;
      this.#entries.delete(former);
    }
    // Room is made first: evicting the last entry of a resource drops the resource.
    this.#entries.set(entry, entry);
    if (!this.#entries.has(entry)) return null;
    this.#groupFor(record).variants.set(key, entry);
    const usage = this.#usageOf(record.routeId);
    usage.bytes += entry.size;
    usage.entries++;
    return entry;
  }

  #groupOf(record: RecordIdentity): VariantGroup | undefined {
    return this.#resources.get(record.resource)?.groups.find((group) => isGroupOf(group, record));
  }

  /** The group that a record belongs to, made if need be and moved to the end: it tells best what comes next. */
  #groupFor(record: ResponseRecord): VariantGroup {
    let resource = this.#resources.get(record.resource);
    if (resource === undefined) {
      resource = { groups: [] };
      this.#resources.set(record.resource, resource);
    }
    const { groups } = resource;
    const at = groups.findIndex((group) => isGroupOf(group, record));
    if (at >= 0) groups.push(...groups.splice(at, 1));
    else groups.push({ vary: record.vary, perConsumer: record.consumer !== null, variants: new Map() });
    return groups.at(-1)!;
  }

  #usageOf(routeId: string): StoreUsage {
    let usage = this.#usage.get(routeId);
    if (usage === undefined) {
      usage = { bytes: 0, entries: 0, evictions: 0 };
      this.#usage.set(routeId, usage);
    }
    return usage;
  }

  #detach(entry: StoredResponse, evicted: boolean): void {
    const { record } = entry;
    const usage = this.#usageOf(record.routeId);
    usage.bytes -= entry.size;
    usage.entries--;
    if (evicted) usage.evictions++;
    const resource = this.#resources.get(record.resource);
    if (resource === undefined) return;
    const key = recordKey(record);
    for (let i = resource.groups.length - 1; i >= 0; i--) {
      const group = resource.groups[i]!;
      if (group.variants.get(key) === entry) group.variants.delete(key);
      if (group.variants.size === 0) resource.groups.splice(i, 1);
    }
    if (resource.groups.length === 0) this.#resources.delete(record.resource);
  }

  /** Whether what was requested at this time has been removed since. */
  isRemoved(resource: string, tags: readonly string[], requestTimeMs: number): boolean {
    return this.#removals.covers({ resource, tags }, requestTimeMs);
  }

  /** Removes one stored response, for example because it turned out to be out of date. */
  drop(entry: StoredResponse): void {
    this.#entries.delete(entry);
  }

  /** Removes the very response that another worker has removed. */
  dropIdentical(identity: RecordIdentity): void {
    const entry = this.#groupOf(identity)?.variants.get(recordKey(identity));
    if (entry !== undefined && entry.responseTimeMs === identity.responseTimeMs) this.#entries.delete(entry);
  }

  /** Removes all of a resource (RFC 9111 section 4.4), or makes it stale; returns how many entries it was. */
  invalidate(resource: string, nowMs: number, soft = false): number {
    if (!soft) this.#removals.addResource(resource, nowMs);
    return this.#remove(this.#entriesOf(resource), nowMs, soft);
  }

  /** The same for all that an operator names. */
  purge(purge: BroadPurge, nowMs: number): number {
    if (!purge.soft) this.#removals.addPurge(purge, nowMs);
    const meant = [...this.#entries.keys()].filter((entry) => isPurged(purge, entry.record));
    return this.#remove(meant, nowMs, purge.soft);
  }

  #remove(entries: readonly StoredResponse[], nowMs: number, soft: boolean): number {
    for (const entry of entries) {
      if (soft) entry.expire(nowMs);
      else this.#entries.delete(entry);
    }
    return entries.length;
  }

  #entriesOf(resource: string): StoredResponse[] {
    return (this.#resources.get(resource)?.groups ?? []).flatMap((group) => [...group.variants.values()]);
  }

  /** All variants of a resource in a partition that a consumer may be validated with. */
  variantsOf(lookup: Lookup): StoredResponse[] {
    return this.#entriesOf(lookup.resource).filter(
      ({ record }) =>
        record.partition === lookup.partition &&
        (record.consumer === null || record.consumer === lookup.consumer),
    );
  }
}

function isGroupOf(group: Shape, record: RecordIdentity): boolean {
  return group.perConsumer === (record.consumer !== null) && group.vary.join() === record.vary.join();
}

function isNewer(entry: StoredResponse, than: StoredResponse): boolean {
  return (
    entry.dateMs > than.dateMs ||
    (entry.dateMs === than.dateMs && entry.responseTimeMs >= than.responseTimeMs)
  );
}

function variantKey(group: Shape, lookup: Lookup, request: SelectingRequest): string | null {
  if (group.perConsumer && lookup.consumer === null) return null;
  if (group.vary.length === 0 && !group.perConsumer) return lookup.partition;
  const owner = group.perConsumer ? lookup.consumer : '';
  return `${lookup.partition}\n${owner}\n${selectingKey(group.vary, request)}`;
}

function recordKey(record: RecordIdentity): string {
  if (record.vary.length === 0 && record.consumer === null) return record.partition;
  return `${record.partition}\n${record.consumer ?? ''}\n${record.selecting}`;
}
