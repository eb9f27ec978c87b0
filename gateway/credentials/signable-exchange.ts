import type { SignableMessage } from '#contract/signing.ts';
import type { Exchange } from '../exchange.ts';

/** A request as signatures see it: as the client sent it, before the proxies that are trusted. */
export class SignableExchange implements SignableMessage {
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  readonly query: string | null;
  readonly status = null;
  readonly #exchange: Exchange;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.method = exchange.method;
    this.scheme = exchange.forwardedProto;
    this.authority = exchange.forwardedHost;
    this.path = exchange.path;
    this.query = exchange.target.length === exchange.path.length ? null : exchange.query;
  }

  field(name: string): string | null {
    return joinField(this.#exchange.headers, name);
  }
}

/** All lines of a field joined by ", "; null when there is none. */
export function joinField(headers: readonly string[], name: string): string | null {
  let joined: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] === name) joined = joined === null ? headers[i + 1]! : `${joined}, ${headers[i + 1]!}`;
  }
  return joined;
}
