import type { App, Key, Plan } from '#contract/registry.ts';

/** A key as the gateway uses it, with what belongs to it resolved. */
export interface KnownKey {
  readonly key: Key;
  readonly app: App | null;
  /** Null: the default plan. */
  readonly plan: Plan | null;
}

/** Finds keys. Answers are current: a revoked key is not found active once its revision has been applied. */
export interface KeyLookup {
  find(keyId: string): KnownKey | undefined;
  /** By the SHA-256 of a bearer secret, lower-case hex. Expired and revoked keys are found too. */
  findBySecretDigest(sha256: string): KnownKey | undefined;
  /**
   * The plaintext secrets of an `api_key` key that are valid at `nowMs`, newest first. They are opened on first use
   * and kept in memory only. Empty when none is valid or none can be opened.
   */
  secretsOf(known: KnownKey, nowMs: number): readonly string[];
}
