import { defaultPlanId } from '#contract/limits.ts';
import type { App, Key, Plan } from '#contract/registry.ts';
import { openSecret } from '#contract/sealing.ts';
import type { KeyLookup, KnownKey } from './key-lookup.ts';
import { decodeApp, decodeKey } from './key-record.ts';
import { recordKinds } from './key-table-layout.ts';
import { KeyTableReader } from './key-table-reader.ts';
import { RecentCache } from './recent-cache.ts';

export interface SharedKeysOptions {
  /** How many decoded keys this thread keeps, for each way to look them up. Default: 4,096. */
  readonly maxDecoded?: number;
}

const noSecrets: readonly string[] = [];
const digestPattern = /^[0-9a-f]{64}$/;

/** A decoded key together with what tells whether it is still current. */
class DecodedKey implements KnownKey {
  readonly key: Key;
  readonly app: App | null;
  readonly plan: Plan | null;
  readonly slotWord: number;
  readonly reference: number;
  readonly version: number;
  /** The plaintext secrets valid until `secretsUntil`; null until asked for. */
  secrets: readonly string[] | null = null;
  secretsUntil = 0;

  constructor(
    key: Key,
    app: App | null,
    plan: Plan | null,
    slotWord: number,
    reference: number,
    version: number,
  ) {
    this.key = key;
    this.app = app;
    this.plan = plan;
    this.slotWord = slotWord;
    this.reference = reference;
    this.version = version;
  }
}

/**
 * The keys of the shared table, as one thread uses them. An answer taken from the thread's cache of decoded keys is
 * checked against the table with two atomic loads, so that it is never older than the last change.
 */
export class SharedKeys implements KeyLookup {
  readonly #table: KeyTableReader;
  readonly #byId: RecentCache<DecodedKey>;
  readonly #byDigest: RecentCache<DecodedKey>;
  readonly #interned: (string | undefined)[] = [];
  readonly #plans = new Map<string, { readonly reference: number; readonly plan: Plan }>();
  readonly #digest = Buffer.alloc(32);
  readonly #internedText = (number: number): string => this.#interned[number] ?? this.#loadInterned(number);

  constructor(buffer: SharedArrayBuffer, options: SharedKeysOptions = {}) {
    this.#table = new KeyTableReader(buffer);
    this.#byId = new RecentCache(options.maxDecoded ?? 4096);
    this.#byDigest = new RecentCache(options.maxDecoded ?? 4096);
  }

  find(keyId: string): KnownKey | undefined {
    const cached = this.#byId.get(keyId);
    if (cached !== undefined && this.#isCurrent(cached)) return cached;
    const { version } = this.#table;
    const reference = this.#table.find(recordKinds.key, keyId);
    if (reference === 0) {
      if (cached !== undefined) this.#byId.delete(keyId);
      return undefined;
    }
    const decoded = this.#decode(reference, this.#table.foundWord, version);
    this.#byId.set(decoded.key.id, decoded);
    return decoded;
  }

  findBySecretDigest(sha256: string): KnownKey | undefined {
    const cached = this.#byDigest.get(sha256);
    if (cached !== undefined && this.#isCurrent(cached)) return cached;
    if (!digestPattern.test(sha256)) return undefined;
    const { version } = this.#table;
    this.#digest.write(sha256, 'hex');
    const reference = this.#table.findByDigest(this.#digest);
    if (reference === 0) {
      if (cached !== undefined) this.#byDigest.delete(sha256);
      return undefined;
    }
    const decoded = this.#decode(reference, this.#table.foundWord, version);
    this.#byDigest.set(sha256, decoded);
    return decoded;
  }

  secretsOf(known: KnownKey, nowMs: number): readonly string[] {
    if (!(known instanceof DecodedKey)) return this.#open(known.key, nowMs).secrets;
    if (known.secrets !== null && nowMs < known.secretsUntil) return known.secrets;
    const { secrets, untilMs } = this.#open(known.key, nowMs);
    known.secrets = secrets;
    known.secretsUntil = untilMs;
    return secrets;
  }

  /** What is sealed in a box under a data key for this id; null when it cannot be opened. */
  open(dataKeyId: string, id: string, box: string): string | null {
    const dataKey = this.#dataKey(dataKeyId);
    return dataKey === null ? null : openSecret(dataKey, id, box);
  }

  /** Forgets decoded keys; has to run before space in the table is used again. */
  forget(): void {
    this.#byId.clear();
    this.#byDigest.clear();
    this.#plans.clear();
  }

  #isCurrent(cached: DecodedKey): boolean {
    return (
      this.#table.slotReference(cached.slotWord) === cached.reference &&
      this.#table.version === cached.version
    );
  }

  #decode(reference: number, slotWord: number, version: number): DecodedKey {
    const offset = this.#table.offsetOf(reference);
    const id = this.#table.idOf(offset);
    const { bytes } = this.#table;
    const key = decodeKey(
      id,
      bytes,
      this.#table.payloadStart(offset),
      this.#table.payloadEnd(offset),
      this.#internedText,
    );
    const app = key.app === undefined ? null : this.#app(key.app);
    const plan = this.#plan(key.plan ?? app?.plan ?? defaultPlanId);
    return new DecodedKey(key, app, plan, slotWord, reference, version);
  }

  #app(id: string): App | null {
    const reference = this.#table.find(recordKinds.app, id);
    if (reference === 0) return null;
    const offset = this.#table.offsetOf(reference);
    const from = this.#table.payloadStart(offset);
    return decodeApp(id, this.#table.bytes, from, this.#table.payloadEnd(offset), this.#internedText);
  }

  #plan(id: string): Plan | null {
    const reference = this.#table.find(recordKinds.plan, id);
    if (reference === 0) return null;
    const kept = this.#plans.get(id);
    if (kept !== undefined && kept.reference === reference) return kept.plan;
    const offset = this.#table.offsetOf(reference);
    const from = this.#table.payloadStart(offset);
    const plan = JSON.parse(this.#table.bytes.toString('utf8', from, this.#table.payloadEnd(offset))) as Plan;
    if (this.#plans.size >= 1024) this.#plans.clear();
    this.#plans.set(id, { reference, plan });
    return plan;
  }

  #dataKey(id: string): Uint8Array | null {
    const reference = this.#table.find(recordKinds.dataKey, id);
    if (reference === 0) return null;
    const offset = this.#table.offsetOf(reference);
    return this.#table.bytes.subarray(this.#table.payloadStart(offset), this.#table.payloadEnd(offset));
  }

  #open(key: Key, nowMs: number): { secrets: readonly string[]; untilMs: number } {
    let untilMs = Number.POSITIVE_INFINITY;
    const opened: string[] = [];
    for (const secret of key.secrets) {
      if (secret.expiresAt !== undefined) {
        if (secret.expiresAt <= nowMs) continue;
        untilMs = Math.min(untilMs, secret.expiresAt);
      }
      if (secret.box === undefined || secret.dataKey === undefined) continue;
      const plaintext = this.open(secret.dataKey, key.id, secret.box);
      if (plaintext !== null) opened.push(plaintext);
    }
    return { secrets: opened.length > 0 ? opened : noSecrets, untilMs };
  }

  #loadInterned(number: number): string {
    const reference = this.#table.find(recordKinds.interned, String(number));
    if (reference === 0) throw new Error(`the key table has no interned text ${number}`);
    const offset = this.#table.offsetOf(reference);
    const from = this.#table.payloadStart(offset);
    const text = this.#table.bytes.toString('utf8', from, this.#table.payloadEnd(offset));
    this.#interned[number] = text;
    return text;
  }
}
