import type { BodyReceiver, Downstream } from './downstream.ts';

/** What a collector needs of the exchange that it works for. */
export interface BodyOwner {
  readonly downstream: Downstream;
  body: Buffer | null;
  bytesIn: number;
}

/** Gathers a whole request body that had not arrived when it was asked for. */
export class BodyCollector implements BodyReceiver {
  /** Null when the body is larger than allowed; rejects with ClientGone. */
  readonly result: Promise<Buffer | null>;
  readonly #owner: BodyOwner;
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #resolve!: (body: Buffer | null) => void;
  #reject!: (error: Error) => void;

  constructor(owner: BodyOwner, maxBytes: number) {
    this.#owner = owner;
    this.#maxBytes = maxBytes;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    owner.downstream.readBody(this);
  }

  onBody(chunk: Buffer): boolean {
    this.#size += chunk.length;
    this.#owner.bytesIn = this.#size;
    if (this.#size > this.#maxBytes) {
      this.#chunks.length = 0;
      this.#resolve(null);
      return true;
    }
    this.#chunks.push(chunk);
    return true;
  }

  onBodyEnd(): void {
    if (this.#size > this.#maxBytes) return;
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#size);
    this.#owner.body = body;
    this.#resolve(body);
  }

  onBodyError(): void {
    this.#reject(new ClientGone());
  }
}

/** The client broke off while its body was being read; there is nobody to answer. */
export class ClientGone extends Error {
  constructor() {
    super('the client left before its body was whole');
  }
}
