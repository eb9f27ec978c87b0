import type { Purge } from '#contract/cache.ts';

/** What removals look at; both stored responses and flights have it. */
export interface Removable {
  readonly resource: string;
  readonly tags: readonly string[];
}

/** Whether a purge means this. URLs and prefixes are `host/path…` as `resourceKey` writes them. */
export function isPurged(purge: Purge, subject: Removable): boolean {
  switch (purge.kind) {
    case 'all':
      return true;
    case 'url':
      return subject.resource === resourceOf(purge.value);
    case 'prefix':
      return subject.resource.startsWith(resourceOf(purge.value));
    case 'key':
      return subject.tags.includes(purge.value);
  }
}

/** `http://host:port/path?query` or `host/path?query` as a resource; the scheme does not matter. */
export function resourceOf(url: string): string {
  const rest = url.replace(/^[a-z]+:\/\//i, '');
  const slash = rest.indexOf('/');
  if (slash < 0) return `${rest.toLowerCase()} /`;
  return `${rest.slice(0, slash).toLowerCase()} ${rest.slice(slash)}`;
}

const keptResources = 20_000;
const keptPurges = 500;

/**
 * Remembers recent removals, so that a response that was asked for before one is not stored after it, whichever worker
 * asked and in whichever order the news arrive.
 */
export class RemovalLog {
  readonly #resources = new Map<string, number>();
  readonly #purges: { purge: Purge; atMs: number }[] = [];

  addResource(resource: string, atMs: number): void {
    this.#resources.delete(resource);
    this.#resources.set(resource, atMs);
    if (this.#resources.size > keptResources) {
      this.#resources.delete(this.#resources.keys().next().value!);
    }
  }

  addPurge(purge: Purge, atMs: number): void {
    this.#purges.push({ purge, atMs });
    if (this.#purges.length > keptPurges) this.#purges.shift();
  }

  /** Whether something that was requested at this time has been removed since. */
  covers(subject: Removable, requestTimeMs: number): boolean {
    const removedMs = this.#resources.get(subject.resource);
    if (removedMs !== undefined && removedMs >= requestTimeMs) return true;
    for (const { purge, atMs } of this.#purges) {
      if (atMs >= requestTimeMs && isPurged(purge, subject)) return true;
    }
    return false;
  }
}
