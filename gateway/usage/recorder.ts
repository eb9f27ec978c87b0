import { randomBytes } from 'node:crypto';
import { createColumns, encodeBatch, packFlags, type UsageColumns } from '#contract/usage-batch.ts';
import type { Exchange } from '../exchange.ts';
import { type AddressPolicy, createAddressPolicy } from './client-address.ts';

export interface UsageRecorderOptions {
  /** The id of this gateway, the same for all its workers. */
  readonly gateway: string;
  readonly worker: number;
  /**
   * Takes an encoded batch over, in order. A worker posts it to the main thread, transferring `batch.buffer`
   * (each batch has a buffer of its own); the main thread passes it to `UsageEmission.accept`.
   */
  readonly deliver: (batch: Uint8Array, events: number) => void;
  /** The longest that an event stays in memory before it is delivered. Default: 500. */
  readonly flushIntervalMs?: number;
  /** Events in a full batch, 1 to 2000. Default: 1000. */
  readonly batchEvents?: number;
  /** Default: truncated. */
  readonly address?: AddressPolicy;
  /** Key of hashed addresses; the same on all gateways. */
  readonly addressHashKey?: string;
  /** Lower-case name of a header whose country code is trusted, for example `cf-ipcountry`. */
  readonly countryHeader?: string | null;
  /** The country of an address (see `openCountries`); used where the header says nothing. */
  readonly countryOf?: ((address: string) => string | null) | null;
}

/** Makes usage events of exchanges; one for each worker. */
export interface UsageRecorder {
  /** To be called once for every ended exchange. Takes well under a microsecond; those without a route are left out. */
  record(exchange: Exchange): void;
  /** Delivers all that has been recorded. */
  flush(): void;
  /** Delivers the rest and stops the timer; call it when the worker has served its last request. */
  close(): void;
  /** Events recorded so far. */
  readonly recorded: number;
}

/**
 * Creates the recorder of a worker. Events go into preallocated columns and are encoded and delivered when a batch is
 * full or `flushIntervalMs` has passed since the first of them; a process that is killed loses what was recorded in
 * that time and no more.
 */
export function createUsageRecorder(options: UsageRecorderOptions): UsageRecorder {
  return new Recorder(options);
}

const maxEventsInTurn = 4;

class Recorder implements UsageRecorder {
  recorded = 0;
  readonly #options: UsageRecorderOptions;
  readonly #source: string;
  readonly #batchEvents: number;
  readonly #capacity: number;
  readonly #columns: UsageColumns;
  readonly #flushIntervalMs: number;
  readonly #countryHeader: string | null;
  readonly #countryOf: ((address: string) => string | null) | null;
  readonly #addressFor: (address: string) => string | null;
  readonly #onTimer = (): void => this.flush();
  #count = 0;
  #sequence = 0;
  #timer: NodeJS.Timeout | null = null;
  #scheduled = false;

  constructor(options: UsageRecorderOptions) {
    this.#options = options;
    this.#source = `${options.gateway}/${options.worker}/${randomBytes(9).toString('base64url')}`;
    this.#batchEvents = Math.min(Math.max(options.batchEvents ?? 1000, 1), 2000);
    this.#capacity = this.#batchEvents * maxEventsInTurn;
    this.#columns = createColumns(this.#capacity);
    this.#flushIntervalMs = options.flushIntervalMs ?? 500;
    this.#countryHeader = options.countryHeader ?? null;
    this.#countryOf = options.countryOf ?? null;
    this.#addressFor = createAddressPolicy(options.address ?? 'truncated', options.addressHashKey ?? '');
  }

  record(exchange: Exchange): void {
    const route = exchange.route;
    if (route === null || route.id === '') return;
    const columns = this.#columns;
    const i = this.#count;
    const endedAt = performance.now();
    const consumer = exchange.consumer;
    let environment: 'test' | 'live' | null = null;
    if (consumer === null) {
      const key = exchange.key;
      columns.keyId[i] = key === null ? null : key.id;
      columns.appId[i] = key === null ? null : (key.app ?? null);
      columns.accountId[i] = key === null ? null : (key.account ?? null);
      if (key !== null) environment = key.environment;
    } else {
      columns.keyId[i] = consumer.keyId;
      columns.appId[i] = consumer.appId;
      columns.accountId[i] = consumer.accountId;
      environment = consumer.environment;
    }
    columns.ids[i] = exchange.requestId;
    columns.routeId[i] = route.id;
    columns.serviceId[i] = route.serviceId;
    columns.version[i] = route.versionId;
    columns.method[i] = exchange.method;
    columns.path[i] = exchange.path;
    columns.clientIp[i] = exchange.clientIp;
    columns.country[i] = this.#countryHeader === null ? null : (exchange.header(this.#countryHeader) ?? null);
    const latencyMs = endedAt - exchange.startedAt;
    columns.occurredAt[i] = Date.now() - latencyMs;
    columns.latencyMs[i] = latencyMs;
    columns.upstreamLatencyMs[i] = exchange.upstreamLatencyMs;
    columns.bytesIn[i] = exchange.bytesIn;
    columns.bytesOut[i] = exchange.bytesOut;
    columns.status[i] = exchange.status;
    columns.flags[i] = packFlags(environment, exchange.cacheState, exchange.limitOutcome, exchange.overage);
    const count = i + 1;
    this.#count = count;
    this.recorded++;
    if (count === 1) this.#timer ??= setTimeout(this.#onTimer, this.#flushIntervalMs).unref();
    else if (count === this.#capacity) this.flush();
    else if (count === this.#batchEvents && !this.#scheduled) this.#flushSoon();
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const total = this.#count;
    if (total === 0) return;
    this.#locate(total);
    for (let start = 0; start < total; start += this.#batchEvents) {
      const count = Math.min(this.#batchEvents, total - start);
      const head = {
        source: this.#source,
        sequence: ++this.#sequence,
        gateway: this.#options.gateway,
        createdAt: Date.now(),
      };
      this.#options.deliver(encodeBatch(head, this.#columns, start, count), count);
    }
    this.#count = 0;
  }

  close(): void {
    this.flush();
  }

  /** Encoding waits for the end of the turn, so that it does not stand between a response and its socket. */
  #flushSoon(): void {
    this.#scheduled = true;
    setImmediate(this.#onTimer);
  }

  /** Fills in countries and applies the address policy, once for each address of the batch. */
  #locate(total: number): void {
    const { clientIp, country } = this.#columns;
    const kept = new Map<string, string | null>();
    const places = new Map<string, string | null>();
    for (let i = 0; i < total; i++) {
      const address = clientIp[i] ?? '';
      const stated = country[i] ?? null;
      let place = stated === null ? null : parseCountry(stated);
      if (place === null && this.#countryOf !== null) place = cached(places, address, this.#countryOf);
      country[i] = place;
      clientIp[i] = cached(kept, address, this.#addressFor);
    }
  }
}

function cached<V>(known: Map<string, V>, key: string, find: (key: string) => V): V {
  let value = known.get(key);
  if (value === undefined) {
    value = find(key);
    known.set(key, value);
  }
  return value;
}

/** An ISO 3166-1 alpha-2 code in upper case, or null (`XX` and `T1` are CDNs' words for unknown). */
export function parseCountry(text: string): string | null {
  if (text.length !== 2) return null;
  const code = text.toUpperCase();
  for (let i = 0; i < 2; i++) {
    const unit = code.charCodeAt(i);
    if (unit < 65 || unit > 90) return null;
  }
  return code === 'XX' ? null : code;
}
