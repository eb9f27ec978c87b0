import type { Route, Service } from '#contract/registry.ts';
import type { Version } from '#contract/versions.ts';
import type { Dependencies } from './dependencies.ts';
import { addresses } from './phases/addresses.ts';
import { authenticate } from './phases/authenticate.ts';
import { authorize } from './phases/authorize.ts';
import { boundBody } from './phases/bound-body.ts';
import { cache, observeCache } from './phases/cache.ts';
import { cors, decorateCors } from './phases/cors.ts';
import { decide } from './phases/decide.ts';
import { decorateLimits } from './phases/decorate-limits.ts';
import { decorateRequest } from './phases/decorate-request.ts';
import { decorateVersion } from './phases/decorate-version.ts';
import { forward } from './phases/forward.ts';
import { limit } from './phases/limit.ts';
import { selectVersion } from './phases/select-version.ts';
import { countFailures, throttle } from './phases/throttle.ts';
import { versionLifeCycle } from './phases/version-life-cycle.ts';
import type { Phase, ResponsePhase } from './pipeline.ts';
import { policiesAt, responsePolicies } from './policies/apply.ts';
import { Router } from './routing/router.ts';

/** A route with everything decided that its configuration decides. */
export interface CompiledRoute {
  readonly config: Route;
  readonly id: string;
  readonly serviceId: string;
  readonly versionId: string | null;
  /** Null: any method. GET implies HEAD. */
  readonly methods: ReadonlySet<string> | null;
  /** Ends with the phase that answers. */
  readonly phases: readonly Phase[];
  /** The same up to the decision, for proxies that only ask; empty where nobody asks. */
  readonly decisionPhases: readonly Phase[];
  readonly responsePhases: readonly ResponsePhase[];
}

/** The registry objects that routing is compiled from. */
export interface RoutingInput {
  readonly services: ReadonlyMap<string, Service>;
  readonly routes: ReadonlyMap<string, Route>;
  readonly versions: ReadonlyMap<string, Version>;
}

/** What a phase factory knows of its route. */
export interface RouteContext {
  readonly route: Route;
  readonly service: Service | null;
  readonly version: Version | null;
  readonly versions: ReadonlyMap<string, Version>;
  /** Finds the route of another version of the same resource; null where there is only this one. */
  readonly siblings?: ((version: string) => CompiledRoute | null) | null;
}

type Made<T> = T | readonly T[] | null;
type PhaseFactory = (context: RouteContext, dependencies: Dependencies) => Made<Phase>;
type ResponsePhaseFactory = (context: RouteContext, dependencies: Dependencies) => Made<ResponsePhase>;

/** The way of a request through its route, in order. A factory that returns null costs nothing. */
const decidingPhases: readonly PhaseFactory[] = [
  cors,
  selectVersion,
  addresses,
  versionLifeCycle,
  boundBody,
  policiesAt('before_authentication'),
  throttle,
  authenticate,
  authorize,
  policiesAt('before_limits'),
  limit,
  policiesAt('before_forwarding'),
];

/** What answers a request that was not refused. */
const answeringPhases: readonly PhaseFactory[] = [cache, forward];

/** What is added to a response, in order. */
const responsePhases: readonly ResponsePhaseFactory[] = [
  observeCache,
  decorateLimits,
  decorateVersion,
  decorateCors,
  countFailures,
  decorateRequest,
  responsePolicies,
];

/** Compiles the routing table of one registry revision. */
export function compile(input: RoutingInput, dependencies: Dependencies): Router {
  const routes = new Map<string, CompiledRoute>();
  const versions = versionsOfResources(input.routes.values());
  for (const route of input.routes.values()) {
    const routeIds = versions.get(resourceOf(route))!;
    const siblings =
      routeIds.size > 1 ? (version: string) => routes.get(routeIds.get(version) ?? '') ?? null : null;
    routes.set(route.id, compileRoute(route, input, siblings, dependencies));
  }
  return new Router([...routes.values()]);
}

/** Routes that differ in their version only serve one resource. */
function resourceOf({ hosts, path, methods }: Route): string {
  return JSON.stringify([[...(hosts ?? [])].sort(), path, [...(methods ?? [])].sort()]);
}

/** By resource: the route ids by version. */
function versionsOfResources(routes: Iterable<Route>): Map<string, Map<string, string>> {
  const resources = new Map<string, Map<string, string>>();
  for (const route of routes) {
    const resource = resourceOf(route);
    const versions = resources.get(resource) ?? new Map<string, string>();
    if (route.version !== undefined && !versions.has(route.version)) versions.set(route.version, route.id);
    resources.set(resource, versions);
  }
  return resources;
}

function compileRoute(
  route: Route,
  input: RoutingInput,
  siblings: RouteContext['siblings'],
  dependencies: Dependencies,
): CompiledRoute {
  const context: RouteContext = {
    route,
    service: input.services.get(route.service) ?? null,
    version: route.version === undefined ? null : (input.versions.get(route.version) ?? null),
    versions: input.versions,
    siblings,
  };
  const make = <T>(factories: readonly ((c: RouteContext, d: Dependencies) => Made<T>)[]): T[] =>
    factories.flatMap((factory) => factory(context, dependencies) ?? []) as T[];
  const deciding = make(decidingPhases);
  return {
    config: route,
    id: route.id,
    serviceId: route.service,
    versionId: route.version ?? null,
    methods: route.methods
      ? new Set(route.methods.includes('GET') ? [...route.methods, 'HEAD'] : route.methods)
      : null,
    phases: [...deciding, ...make(answeringPhases)],
    decisionPhases: dependencies.decisions ? [...deciding, decide()] : [],
    responsePhases: make(responsePhases),
  };
}
