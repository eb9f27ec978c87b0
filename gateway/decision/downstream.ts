import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Exchange } from '../exchange.ts';
import type { BodyReceiver, Downstream } from '../wire/downstream.ts';

/**
 * The proxy's side of a question: what the phases decide becomes a complete answer. Refusals name their problem in
 * X-Tollgate-Problem, and take the status that the proxy can deal with when it asks for one.
 */
export class DecisionDownstream implements Downstream {
  exchange!: Exchange;
  readonly #response: ServerResponse;
  readonly #body: Buffer;
  readonly #refuseWith: number | null;

  constructor(response: ServerResponse, body: Buffer, refuseWith: number | null) {
    this.#response = response;
    this.#body = body;
    this.#refuseWith = refuseWith;
    response.on('close', () => {
      if (response.writableFinished) this.exchange.onDownstreamEnd();
      else this.exchange.onDownstreamClose();
    });
  }

  takeBody(): Buffer {
    return this.#body;
  }

  readBody(receiver: BodyReceiver): void {
    receiver.onBody(this.#body);
    receiver.onBodyEnd(null);
  }

  respond(status: number, headers: readonly string[], body: Uint8Array | null): void {
    const { refusalCode } = this.exchange;
    const fields = [...headers, 'Content-Length', String(body?.length ?? 0)];
    if (refusalCode !== null)
      fields.push('X-Tollgate-Problem', refusalCode, 'X-Tollgate-Status', String(status));
    this.#response.writeHead(refusalCode === null ? status : (this.#refuseWith ?? status), fields);
    this.#response.end(body ?? undefined);
  }

  destroy(): void {
    this.#response.destroy();
  }

  // No decision streams or upgrades.

  writeHead(): void {
    this.destroy();
  }
  write(): boolean {
    return true;
  }
  end(): void {
    this.destroy();
  }
  pauseBody(): void {}
  resumeBody(): void {}
  writeInformation(): void {}
  switchProtocols(): { socket: Duplex; head: Buffer } {
    throw new Error('a decision does not upgrade');
  }
}
