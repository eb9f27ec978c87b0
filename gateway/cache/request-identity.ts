import type { Exchange } from '../exchange.ts';
import { type QueryRule, resourceKey } from './key.ts';
import { has } from './request.ts';
import type { Lookup } from './store.ts';

/** Names what a route's requests are about, for whom, and by what all of its resources are divided alike. */
export class RequestIdentity {
  readonly #query: QueryRule;
  readonly #versionId: string;
  readonly #perConsumer: boolean;
  /** Partitions of the plain cases: live and test, over http and https. */
  readonly #partitions: readonly [string, string, string, string];

  constructor(query: QueryRule, versionId: string, perConsumer: boolean) {
    this.#query = query;
    this.#versionId = versionId;
    this.#perConsumer = perConsumer;
    this.#partitions = [
      `${versionId} live http`,
      `${versionId} live https`,
      `${versionId} test http`,
      `${versionId} test https`,
    ];
  }

  of(exchange: Exchange, flags: number): Lookup {
    const { host, path, query, target, consumer } = exchange;
    return {
      resource: resourceKey(host, path, query, target, this.#query),
      partition: this.#partitionOf(exchange, flags),
      consumer: consumer === null ? null : this.#nameOf(consumer),
    };
  }

  /** All that the upstream is shown of a request beside its target and what Vary may name. */
  #partitionOf(exchange: Exchange, flags: number): string {
    const { host, forwardedProto, forwardedHost, consumer } = exchange;
    const test = consumer !== null && consumer.environment === 'test';
    let partition: string;
    if (forwardedProto === 'http') partition = this.#partitions[test ? 2 : 0];
    else if (forwardedProto === 'https') partition = this.#partitions[test ? 3 : 1];
    else partition = `${this.#versionId} ${test ? 'test' : 'live'} ${forwardedProto}`;
    if (forwardedHost !== host) partition += ` host=${forwardedHost}`;
    if ((flags & has.apiVersion) !== 0) partition += ` version=${exchange.header('api-version')}`;
    return partition;
  }

  /** Explicit `perConsumer` is by app; otherwise nothing is shared between two callers that can be told apart. */
  #nameOf({ appId, keyId, subject }: NonNullable<Exchange['consumer']>): string {
    if (!this.#perConsumer || appId === null) return `key ${keyId ?? ''} ${subject ?? ''}`;
    return subject === null ? `app ${appId}` : `app ${appId} ${subject}`;
  }
}
