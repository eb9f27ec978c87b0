import type { CompiledRoute } from '../compile.ts';

/** Why no route was chosen: nothing matches (null), or the methods that would (Allow). */
export type Match = CompiledRoute | { readonly allow: readonly string[] } | null;

interface Prefixes {
  /** Routes by their path prefix, most specific declaration first. */
  readonly byPrefix: Map<string, CompiledRoute[]>;
  longest: number;
}

/**
 * Finds the route of a request: host (exact, then the longest wildcard, then routes without hosts), then the longest
 * path prefix on whole segments, then the method, then the version asked for.
 */
export class Router {
  readonly #exact = new Map<string, Prefixes>();
  readonly #wildcards: { suffix: string; prefixes: Prefixes }[] = [];
  readonly #any: Prefixes = { byPrefix: new Map(), longest: 0 };

  constructor(routes: readonly CompiledRoute[]) {
    const wildcards = new Map<string, Prefixes>();
    for (const route of routes) {
      const hosts = route.config.hosts;
      if (!hosts || hosts.length === 0) add(this.#any, route);
      for (const host of hosts ?? []) {
        const name = host.toLowerCase();
        if (name.startsWith('*.')) add(entry(wildcards, name.slice(1)), route);
        else add(entry(this.#exact, name), route);
      }
    }
    for (const [suffix, prefixes] of wildcards) this.#wildcards.push({ suffix, prefixes });
    this.#wildcards.sort((a, b) => b.suffix.length - a.suffix.length);
  }

  /** `version` is the version asked for by header, or null. */
  match(host: string, path: string, method: string, version: string | null): Match {
    let refused: Match = null;
    if (this.#exact.size > 0 || this.#wildcards.length > 0) {
      const name = withoutPort(host);
      const exact = this.#exact.get(host) ?? this.#exact.get(name);
      if (exact) {
        const found = find(exact, path, method, version);
        if (found !== null && 'config' in found) return found;
        refused ??= found;
      }
      for (const { suffix, prefixes } of this.#wildcards) {
        if (!name.endsWith(suffix) || name.length === suffix.length) continue;
        const found = find(prefixes, path, method, version);
        if (found !== null && 'config' in found) return found;
        refused ??= found;
      }
    }
    const found = find(this.#any, path, method, version);
    if (found !== null && 'config' in found) return found;
    return refused ?? found;
  }
}

function entry(map: Map<string, Prefixes>, name: string): Prefixes {
  let found = map.get(name);
  if (!found) {
    found = { byPrefix: new Map(), longest: 0 };
    map.set(name, found);
  }
  return found;
}

function add(prefixes: Prefixes, route: CompiledRoute): void {
  const path = route.config.path;
  const prefix = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  const routes = prefixes.byPrefix.get(prefix);
  if (routes) routes.push(route);
  else prefixes.byPrefix.set(prefix, [route]);
  prefixes.longest = Math.max(prefixes.longest, prefix.length);
}

function withoutPort(host: string): string {
  const colon = host.lastIndexOf(':');
  return colon > 0 && host.indexOf(']', colon) < 0 ? host.slice(0, colon) : host;
}

function find(prefixes: Prefixes, path: string, method: string, version: string | null): Match {
  const { byPrefix } = prefixes;
  if (byPrefix.size === 0) return null;
  let allow: string[] | null = null;
  let end = path.length;
  for (;;) {
    if (end <= prefixes.longest) {
      const routes = byPrefix.get(end === path.length ? path : path.slice(0, end));
      if (routes) {
        const chosen = choose(routes, method, version);
        if (chosen) return chosen;
        allow ??= [];
        for (const route of routes)
          for (const name of route.methods ?? []) if (!allow.includes(name)) allow.push(name);
      }
    }
    const slash = path.lastIndexOf('/', end - 1);
    if (slash <= 0) break;
    end = slash;
  }
  const root = byPrefix.get('/');
  if (root && path !== '/') {
    const chosen = choose(root, method, version);
    if (chosen) return chosen;
    allow ??= [];
    for (const route of root)
      for (const name of route.methods ?? []) if (!allow.includes(name)) allow.push(name);
  }
  return allow === null ? null : { allow };
}

function choose(
  routes: readonly CompiledRoute[],
  method: string,
  version: string | null,
): CompiledRoute | null {
  let fallback: CompiledRoute | null = null;
  for (const route of routes) {
    const { methods } = route;
    if (methods !== null && !methods.has(method)) continue;
    if (version === null || route.versionId === version) return route;
    fallback ??= route;
  }
  return fallback;
}
