import type { MessagePort, Transferable, Worker } from 'node:worker_threads';

type Message = { readonly type: string; readonly payload: unknown };

/** Messages by type between the main thread and one worker. A type has one handler on each side. */
export class Channel {
  readonly port: MessagePort | Worker;
  readonly #handlers = new Map<string, (payload: never) => void>();

  constructor(port: MessagePort | Worker) {
    this.port = port;
    const receive = ({ type, payload }: Message): void => this.#handlers.get(type)?.(payload as never);
    (port as MessagePort).on('message', receive);
  }

  on<T>(type: string, handler: (payload: T) => void): void {
    this.#handlers.set(type, handler as (payload: never) => void);
  }

  send(type: string, payload: unknown, transfer: readonly Transferable[] = []): void {
    this.port.postMessage({ type, payload } satisfies Message, transfer as Transferable[]);
  }
}
