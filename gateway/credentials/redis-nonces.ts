import type { NonceStore, NonceVerdict } from './nonces.ts';

/** The one Redis command that is needed; an ioredis client has it. */
export interface NonceCommands {
  set(key: string, value: string, px: 'PX', milliseconds: number, nx: 'NX'): Promise<'OK' | null>;
}

export interface RedisNoncesOptions {
  /** While Redis is away: `local` trusts this host's own memory, `closed` refuses. */
  readonly whenAway: 'local' | 'closed';
  readonly onFailure?: (error: unknown) => void;
}

/** Nonces shared by all gateways through Redis; this host's own memory refuses what it has seen without asking. */
export class RedisNonces implements NonceStore {
  readonly #commands: NonceCommands;
  readonly #local: NonceStore;
  readonly #options: RedisNoncesOptions;

  constructor(commands: NonceCommands, local: NonceStore, options: RedisNoncesOptions) {
    this.#commands = commands;
    this.#local = local;
    this.#options = options;
  }

  async remember(keyId: string, nonce: string, expiresAtMs: number, nowMs: number): Promise<NonceVerdict> {
    const known = await this.#local.remember(keyId, nonce, expiresAtMs, nowMs);
    if (known === 'seen') return known;
    try {
      const lifeMs = Math.max(1, Math.ceil(expiresAtMs - nowMs));
      const set = await this.#commands.set(`tollgate:nonce:{${keyId}}:${nonce}`, '1', 'PX', lifeMs, 'NX');
      return set === 'OK' ? 'new' : 'seen';
    } catch (error) {
      this.#options.onFailure?.(error);
      return this.#options.whenAway === 'local' ? known : 'unavailable';
    }
  }
}
