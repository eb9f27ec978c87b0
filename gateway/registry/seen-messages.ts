import type { SeenMessage } from './disk/entries.ts';

const maxMessages = 100_000;
const keptMs = 7 * 86_400_000;

/** Messages that have been acted on, of the last seven days. */
export class SeenMessages {
  readonly #byId = new Map<string, SeenMessage>();
  /** The newest time told of each key. */
  readonly #toldAt = new Map<string, number>();

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** When the newest thing told of a key was so; undefined when nothing was lately. */
  lastToldOf(keyId: string): number | undefined {
    return this.#toldAt.get(keyId);
  }

  all(): Iterable<SeenMessage> {
    return this.#byId.values();
  }

  add(message: SeenMessage): void {
    this.#byId.set(message.id, message);
    const { keyId, toldAtMs } = message;
    if (keyId !== undefined && toldAtMs !== undefined) {
      this.#toldAt.set(keyId, Math.max(toldAtMs, this.#toldAt.get(keyId) ?? 0));
    }
    for (const old of this.#byId.values()) {
      if (this.#byId.size <= maxMessages && old.atMs > message.atMs - keptMs) break;
      this.#byId.delete(old.id);
      if (old.keyId !== undefined && this.#toldAt.get(old.keyId) === old.toldAtMs) {
        this.#toldAt.delete(old.keyId);
      }
    }
  }
}
