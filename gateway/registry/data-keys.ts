import type { DataKey } from '#contract/registry.ts';
import type { KeyProvider } from './key-provider.ts';

export interface DataKeysOptions {
  readonly providers: readonly KeyProvider[];
  /** Puts an opened data key in force. */
  readonly onOpened: (id: string, plaintext: Uint8Array) => void;
  readonly log: (level: 'info' | 'warn', message: string, details: object) => void;
  /** How long a change of the registry waits for its data keys. Default: 1,000. */
  readonly patienceMs?: number;
  /** Between attempts at a data key that did not open. Default: 5,000. */
  readonly retryMs?: number;
}

/**
 * Opens data keys through their providers. One that does not open is tried again until it does or is gone; secrets
 * under it are unusable meanwhile, all others are not touched.
 */
export class DataKeys {
  readonly #options: DataKeysOptions;
  /** Data keys not opened yet, by id. */
  readonly #closed = new Map<string, DataKey>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: DataKeysOptions) {
    this.#options = options;
  }

  /** How many data keys could not be opened so far. */
  get unopened(): number {
    return this.#closed.size;
  }

  /** Opens data keys; resolves when all are open or the patience is over. Never rejects. */
  async open(dataKeys: readonly DataKey[]): Promise<void> {
    if (dataKeys.length === 0) return;
    for (const dataKey of dataKeys) this.#closed.set(dataKey.id, dataKey);
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.patienceMs ?? 1000);
    });
    await Promise.race([Promise.all(dataKeys.map((dataKey) => this.#attempt(dataKey))), patience]);
    clearTimeout(timer);
    this.#schedule();
  }

  forget(id: string): void {
    this.#closed.delete(id);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#closed.clear();
  }

  async #attempt(dataKey: DataKey): Promise<void> {
    const provider = this.#options.providers.find(({ name }) => name === dataKey.provider);
    try {
      if (!provider)
        throw new Error(`no key provider named ${JSON.stringify(dataKey.provider)} is configured`);
      const plaintext = await provider.unwrap(dataKey);
      if (this.#closed.get(dataKey.id) !== dataKey) return;
      this.#closed.delete(dataKey.id);
      this.#options.onOpened(dataKey.id, plaintext);
    } catch (error) {
      this.#options.log('warn', 'a data key cannot be opened', {
        dataKey: dataKey.id,
        provider: dataKey.provider,
        error: (error as Error).message,
      });
    }
  }

  #schedule(): void {
    if (this.#closed.size === 0 || this.#timer !== null) return;
    this.#timer = setTimeout(async () => {
      this.#timer = null;
      await Promise.all([...this.#closed.values()].map((dataKey) => this.#attempt(dataKey)));
      this.#schedule();
    }, this.#options.retryMs ?? 5000);
    this.#timer.unref();
  }
}
