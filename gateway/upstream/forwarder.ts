import type { Service } from '#contract/registry.ts';
import type { Exchange } from '../exchange.ts';
import { type Refusal, refusal } from '../refusal.ts';
import { Attempt } from './attempt.ts';
import { Balancer, describeUpstream, Target } from './balancer.ts';
import type {
  Upstream,
  UpstreamCall,
  UpstreamClient,
  UpstreamFailure,
  UpstreamHandler,
  UpstreamRequest,
} from './client.ts';
import { buildRequestHeaders, type ForwardedFields } from './request-headers.ts';

/** How a route's requests are rewritten for its service. */
export interface ForwardOptions extends ForwardedFields {
  readonly stripPrefix: string | null;
  /** The query to send in place of the client's; absent or null: as it is. */
  readonly rewriteQuery?: ((query: string) => string) | null;
}

/** The targets of one service, as one worker sees them. */
export class ServiceUpstreams {
  readonly retries: number;
  readonly failureThreshold = 3;
  readonly failures: Record<UpstreamFailure, number> = { unreachable: 0, reset: 0, invalid: 0, timeout: 0 };
  readonly #test: Balancer;
  readonly #live: Balancer;
  readonly #clients: UpstreamClients;

  constructor(service: Service, clients: UpstreamClients) {
    const balance = (targets: NonNullable<Service['targets']['test']>): Balancer =>
      new Balancer(
        targets.map((target) => new Target(describeUpstream(target.url, service), target.weight ?? 1)),
        service.balance ?? 'round_robin',
      );
    this.#test = balance(service.targets.test ?? []);
    this.#live = balance(service.targets.live ?? []);
    this.retries = service.retries ?? 1;
    this.#clients = clients;
  }

  clientFor(upstream: Upstream): UpstreamClient {
    return upstream.http2 ? this.#clients.http2 : this.#clients.http1;
  }

  /** Test keys reach the test targets, everyone else the live ones. */
  choose(exchange: Exchange, now: number, avoid: Target | null): Target | null {
    const balancer = exchange.consumer?.environment === 'test' ? this.#test : this.#live;
    return balancer.choose(now, avoid);
  }

  countFailure(failure: UpstreamFailure): void {
    this.failures[failure]++;
  }
}

export interface UpstreamClients {
  readonly http1: UpstreamClient;
  readonly http2: UpstreamClient;
}

/** Sends requests to services. Balancer state of a service lives as long as its configuration is unchanged. */
export class Forwarder {
  readonly #clients: UpstreamClients;
  readonly #services = new Map<string, { config: string; upstreams: ServiceUpstreams }>();

  constructor(clients: UpstreamClients) {
    this.#clients = clients;
  }

  /** The upstreams of a service; the same object again while its configuration is the same. */
  upstreamsOf(service: Service): ServiceUpstreams {
    const config = JSON.stringify(service);
    const known = this.#services.get(service.id);
    if (known && known.config === config) return known.upstreams;
    const upstreams = new ServiceUpstreams(service, this.#clients);
    this.#services.set(service.id, { config, upstreams });
    return upstreams;
  }

  /** Failures by service since start. */
  *failures(): Generator<{ service: string; failure: UpstreamFailure; count: number }> {
    for (const [service, { upstreams }] of this.#services) {
      for (const [failure, count] of Object.entries(upstreams.failures)) {
        yield { service, failure: failure as UpstreamFailure, count };
      }
    }
  }

  /**
   * Sends the exchange's request; `handler` receives the answer. `extraHeaders` (flat) are added, in place of fields
   * of the same name; an empty value only takes the field off. A refusal when the service has no target for the consumer's environment.
   * When the body has not arrived whole, `exchange.bodyPending` is set: the caller stores the call in `exchange.call`
   * and then lets the body flow with `exchange.downstream.readBody(exchange)`.
   */
  open(
    exchange: Exchange,
    upstreams: ServiceUpstreams,
    options: ForwardOptions,
    handler: UpstreamHandler,
    extraHeaders: readonly string[] | null = null,
  ): UpstreamCall | Refusal {
    const target = upstreams.choose(exchange, exchange.startedAt, null);
    if (target === null) return refusal('unavailable');
    let body = exchange.body;
    if (body === null && exchange.bodyLength !== 0 && exchange.upgrade === null) {
      body = exchange.downstream.takeBody();
      if (body === null) exchange.bodyPending = true;
      else exchange.bytesIn = body.length;
    }
    const request: UpstreamRequest = {
      method: exchange.method,
      path: forwardedTarget(exchange, options),
      headers: buildRequestHeaders(exchange, target.upstream, options, extraHeaders),
      bodyLength: body !== null ? body.length : exchange.bodyLength,
      body: body !== null && body.length > 0 ? body : null,
      upgrade: exchange.upgrade,
    };
    return new Attempt(exchange, upstreams, target, request, handler);
  }

  async close(): Promise<void> {
    await Promise.all([this.#clients.http1.close(), this.#clients.http2.close()]);
  }
}

function forwardedTarget(exchange: Exchange, { stripPrefix, rewriteQuery = null }: ForwardOptions): string {
  const unchanged = exchange.forwardPath === exchange.path;
  if (unchanged && stripPrefix === null && rewriteQuery === null) return exchange.target;
  let path = exchange.forwardPath;
  if (stripPrefix !== null && path.startsWith(stripPrefix)) {
    path = path.slice(stripPrefix.length);
    if (!path.startsWith('/')) path = `/${path}`;
  }
  if (rewriteQuery !== null) {
    const query = rewriteQuery(exchange.query);
    return query === '' ? path : `${path}?${query}`;
  }
  return exchange.query === '' && !exchange.target.endsWith('?') ? path : `${path}?${exchange.query}`;
}
