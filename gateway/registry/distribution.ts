import type { Channel } from '../channel.ts';
import { type RegistryMessage, type RegistryReply, registryMessage, registryReply } from './messages.ts';
import type { ReplicatedChange } from './state.ts';

interface Waiter {
  readonly sequence: number;
  readonly resolve: () => void;
}

/** Brings changes to the workers and knows which of them every worker has applied. */
export class Distribution {
  readonly #acknowledged = new Map<Channel, number>();
  readonly #onError: (error: string) => void;
  #waiters: Waiter[] = [];
  #sequence = 0;

  constructor(onError: (error: string) => void) {
    this.#onError = onError;
  }

  get workers(): number {
    return this.#acknowledged.size;
  }

  /** A worker that was started with the state of now. */
  attach(channel: Channel): void {
    this.#acknowledged.set(channel, this.#sequence);
    channel.on<RegistryReply>(registryReply, ({ sequence, error }) => {
      if (!this.#acknowledged.has(channel)) return;
      this.#acknowledged.set(channel, sequence);
      if (error !== null) this.#onError(error);
      this.#settle();
    });
  }

  detach(channel: Channel): void {
    this.#acknowledged.delete(channel);
    this.#settle();
  }

  /** Sends changes; resolves when every worker that there is has put them in force. */
  publish(changes: readonly ReplicatedChange[]): Promise<void> {
    return this.#send({ changes });
  }

  /** Resolves when every worker has been between two look-ups and has forgotten decoded keys. */
  quiesce(): Promise<void> {
    return this.#send({ forget: true });
  }

  announceDataKey(): Promise<void> {
    return this.#send({ dataKeyOpened: true });
  }

  #send(content: Partial<Omit<RegistryMessage, 'sequence'>>): Promise<void> {
    const sequence = ++this.#sequence;
    const message: RegistryMessage = {
      sequence,
      changes: [],
      forget: false,
      dataKeyOpened: false,
      ...content,
    };
    for (const channel of this.#acknowledged.keys()) channel.send(registryMessage, message);
    return new Promise((resolve) => {
      this.#waiters.push({ sequence, resolve });
      this.#settle();
    });
  }

  #settle(): void {
    let applied = this.#sequence;
    for (const sequence of this.#acknowledged.values()) applied = Math.min(applied, sequence);
    const ready = this.#waiters.filter(({ sequence }) => sequence <= applied);
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter(({ sequence }) => sequence > applied);
    for (const { resolve } of ready) resolve();
  }
}
