import type { Version } from '#contract/versions.ts';
import { type CompiledRoute, compile, type RoutingInput } from './compile.ts';
import type { DecisionHandler } from './decision/server.ts';
import type { Dependencies } from './dependencies.ts';
import type { Exchange, ExchangeHandler } from './exchange.ts';
import { decorateRequest } from './phases/decorate-request.ts';
import { identify } from './phases/identify.ts';
import { run } from './pipeline.ts';
import type { Policy } from './policies/policy.ts';
import { Refusal, refusal } from './refusal.ts';
import type { AddressSet } from './routing/addresses.ts';
import { Router } from './routing/router.ts';
import { describeVersions } from './routing/version-state.ts';

export interface GatewayOptions {
  readonly dependencies: Dependencies;
  /** Whose X-Forwarded-* and X-Request-Id are believed. */
  readonly trustedProxies: AddressSet | null;
  /** Called once for each exchange when it has ended. */
  readonly observe: (exchange: Exchange) => void;
  readonly logFault: (exchange: Exchange, error: unknown) => void;
}

/** Stands in for the route of a request that matched none. */
const unmatched: CompiledRoute = {
  config: { id: '', service: '', path: '/' },
  id: '',
  serviceId: '',
  versionId: null,
  methods: null,
  phases: [],
  decisionPhases: [],
  responsePhases: [decorateRequest()],
};

/** The request path of one worker: takes exchanges from the wires, finds their route and runs its phases. */
export class Gateway implements ExchangeHandler, DecisionHandler {
  readonly observe: (exchange: Exchange) => void;
  readonly onFault: (exchange: Exchange, error: unknown) => void;
  #dependencies: Dependencies;
  #input: RoutingInput | null = null;
  readonly #identify: (exchange: Exchange) => void;
  readonly #notAllowed = new Map<string, Refusal>();
  #router = new Router([]);
  #versions: readonly Version[] = [];

  constructor(options: GatewayOptions) {
    this.#dependencies = options.dependencies;
    this.#identify = identify(options.trustedProxies);
    this.observe = options.observe;
    this.onFault = options.logFault;
  }

  /** Puts a new routing table in force for the requests that come from now on. Throws, and keeps the old one, on a bug. */
  route(input: RoutingInput): void {
    this.#router = compile(input, this.#dependencies);
    this.#versions = [...input.versions.values()];
    this.#input = input;
  }

  /** Compiles the routes in force again, with policies that have changed. Throws as `route` does. */
  setPolicies(policies: ReadonlyMap<string, Policy>): void {
    const former = this.#dependencies;
    this.#dependencies = { ...former, policies };
    try {
      if (this.#input !== null) this.route(this.#input);
    } catch (error) {
      this.#dependencies = former;
      throw error;
    }
  }

  handle(exchange: Exchange): void {
    this.#identify(exchange);
    const version = exchange.header('api-version') ?? null;
    let match = this.#router.match(exchange.host, exchange.routePath, exchange.method, version);
    if (exchange.method === 'OPTIONS' && match !== null && 'allow' in match) {
      match = this.#matchPreflight(exchange, version) ?? match;
    }
    if (match === null) {
      exchange.route = unmatched;
      if (exchange.routePath === '/versions') this.#answerVersions(exchange);
      else exchange.refuse(refusal('route_not_found'));
    } else if ('allow' in match) {
      exchange.route = unmatched;
      exchange.refuse(this.#refuseMethod(match.allow));
    } else {
      exchange.route = match;
      run(exchange, exchange.decisionOnly ? match.decisionPhases : match.phases, this);
    }
  }

  /** Answers a proxy that forwards the request itself, if it may. */
  decide(exchange: Exchange): void {
    exchange.decisionOnly = true;
    this.handle(exchange);
  }

  /** A CORS preflight belongs to the route of the request that it asks for. */
  #matchPreflight(exchange: Exchange, version: string | null): CompiledRoute | null {
    const method = exchange.header('access-control-request-method');
    if (method === undefined) return null;
    const match = this.#router.match(exchange.host, exchange.routePath, method, version);
    return match !== null && 'config' in match && match.config.cors !== undefined ? match : null;
  }

  /** The versions and their life cycle; a route of this path stands above it. */
  #answerVersions(exchange: Exchange): void {
    if (exchange.method !== 'GET' && exchange.method !== 'HEAD') {
      exchange.refuse(this.#refuseMethod(['GET', 'HEAD']));
      return;
    }
    const body = Buffer.from(JSON.stringify(describeVersions(this.#versions, this.#dependencies.now())));
    exchange.answer(200, ['Content-Type', 'application/json', 'Cache-Control', 'max-age=60'], body);
  }

  #refuseMethod(methods: readonly string[]): Refusal {
    const allow = (
      methods.includes('GET') && !methods.includes('HEAD') ? [...methods, 'HEAD'] : methods
    ).join(', ');
    let found = this.#notAllowed.get(allow);
    if (!found) {
      found = new Refusal('method_not_allowed', ['Allow', allow]);
      if (this.#notAllowed.size < 1000) this.#notAllowed.set(allow, found);
    }
    return found;
  }
}
