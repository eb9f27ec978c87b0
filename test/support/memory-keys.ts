import { createHash } from 'node:crypto';
import type { App, Key, Plan } from '#contract/registry.ts';
import type { KeyLookup, KnownKey } from '../../gateway/credentials/key-lookup.ts';

/** A key as a test states it: plaintext secrets in place of stored ones, newest first. */
export interface TestKey extends Partial<Omit<Key, 'secrets'>> {
  readonly id: string;
  readonly secrets?: readonly { readonly plain: string; readonly expiresAt?: number }[];
}

/** Keys held in memory; counts look-ups. */
export class MemoryKeys implements KeyLookup {
  lookUps = 0;
  readonly #byId = new Map<string, KnownKey>();
  readonly #byDigest = new Map<string, KnownKey>();
  readonly #plain = new Map<string, readonly { plain: string; expiresAt?: number }[]>();

  put({ secrets = [], ...given }: TestKey, app: App | null = null, plan: Plan | null = null): void {
    const key: Key = {
      kind: 'api_key',
      environment: 'test',
      status: 'active',
      ...given,
      secrets: secrets.map(({ plain, expiresAt }) => ({
        sha256: createHash('sha256').update(plain).digest('hex'),
        ...(expiresAt === undefined ? {} : { expiresAt }),
      })),
    };
    const known: KnownKey = { key, app, plan };
    this.#byId.set(key.id, known);
    this.#plain.set(key.id, secrets);
    for (const { sha256 } of key.secrets) this.#byDigest.set(sha256!, known);
  }

  find(keyId: string): KnownKey | undefined {
    this.lookUps++;
    return this.#byId.get(keyId);
  }

  findBySecretDigest(sha256: string): KnownKey | undefined {
    this.lookUps++;
    return this.#byDigest.get(sha256);
  }

  secretsOf({ key }: KnownKey, nowMs: number): readonly string[] {
    return (this.#plain.get(key.id) ?? [])
      .filter(({ expiresAt }) => expiresAt === undefined || expiresAt > nowMs)
      .map(({ plain }) => plain);
  }
}
