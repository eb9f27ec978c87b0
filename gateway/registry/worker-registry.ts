import type { Channel } from '../channel.ts';
import type { RoutingInput } from '../compile.ts';
import { SharedKeys } from '../credentials/shared-keys.ts';
import {
  type RegistryMessage,
  type RegistryReply,
  type RegistryShare,
  registryMessage,
  registryReply,
} from './messages.ts';
import { changedObjects, nothingReplicated, type Replicated } from './routing-changes.ts';

/** A certificate ready for use. */
export interface OpenedCertificate {
  readonly id: string;
  readonly names: readonly string[];
  /** PEM, leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
}

export interface WorkerRegistryOptions {
  /** `workerData.shared.registry`: what `Registry.share()` gave when the worker was made. */
  readonly share: RegistryShare;
  readonly channel: Channel;
  /**
   * Puts routing in force; called once by `start` and after every change of services, routes or versions, between
   * requests. The maps never change. What it throws is reported to the main thread, and the former routing is
   * expected to stay.
   */
  readonly onRouting: (routing: RoutingInput) => void;
  /** All certificates that can be opened; called by `start` when there are any, and after every change of them. */
  readonly onCertificates?: (certificates: readonly OpenedCertificate[]) => void;
}

/** The registry as one worker holds it. Keys are always current; the rest follows by messages, a revision at a time. */
export class WorkerRegistry {
  readonly keys: SharedKeys;
  readonly #options: WorkerRegistryOptions;
  #objects: Replicated;

  constructor(options: WorkerRegistryOptions) {
    this.#options = options;
    this.keys = new SharedKeys(options.share.table);
    this.#objects = changedObjects(nothingReplicated, options.share.objects);
  }

  /** Puts the first routing in force and begins to follow changes. */
  start(): void {
    this.#options.onRouting(this.#objects);
    if (this.#objects.certificates.size > 0) this.#openCertificates();
    this.#options.channel.on<RegistryMessage>(registryMessage, (message) => this.#receive(message));
  }

  #receive({ sequence, changes, forget, dataKeyOpened }: RegistryMessage): void {
    let error: string | null = null;
    if (forget) this.keys.forget();
    try {
      if (changes.length > 0) this.#objects = changedObjects(this.#objects, changes);
      if (changes.some(({ kind }) => kind !== 'certificate')) this.#options.onRouting(this.#objects);
      if (dataKeyOpened || changes.some(({ kind }) => kind === 'certificate')) this.#openCertificates();
    } catch (fault) {
      error = String((fault as Error)?.stack ?? fault);
    }
    this.#options.channel.send(registryReply, { sequence, error } satisfies RegistryReply);
  }

  #openCertificates(): void {
    const opened: OpenedCertificate[] = [];
    for (const { id, names, chain, dataKey, box } of this.#objects.certificates.values()) {
      const key = this.keys.open(dataKey, id, box);
      if (key !== null) opened.push({ id, names, chain, key });
    }
    this.#options.onCertificates?.(opened);
  }
}
