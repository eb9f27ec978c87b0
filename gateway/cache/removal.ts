import type { Purge } from '#contract/purge.ts';

/** What removals look at; both stored responses and flights have it. */
export interface Removable {
  readonly resource: string;
  readonly tags: readonly string[];
}

/** A purge of many resources; one of a single address is a removal of its resources. */
export type BroadPurge = Purge & { readonly kind: Exclude<Purge['kind'], 'url'> };

/** Whether a purge means this. A prefix is `host/path…`. */
export function isPurged(purge: BroadPurge, subject: Removable): boolean {
  if (purge.kind === 'all') return true;
  if (purge.kind === 'key') return subject.tags.includes(purge.value);
  const { host, target } = splitAddress(purge.value);
  return subject.resource.startsWith(`${host} ${target}`);
}

/** `http://host:port/path?query` or `host/path?query` in its parts; the scheme does not matter, nor does a fragment. */
export function splitAddress(url: string): { readonly host: string; readonly target: string } {
  const rest = url.replace(/^[a-z]+:\/\//i, '').split('#')[0]!;
  const slash = rest.search(/[/?]/);
  if (slash < 0) return { host: rest.toLowerCase(), target: '/' };
  const target = rest.slice(slash);
  return { host: rest.slice(0, slash).toLowerCase(), target: target.startsWith('?') ? `/${target}` : target };
}

const keptResources = 20_000;
const keptPurges = 500;

/**
 * Remembers recent removals, so that a response that was asked for before one is not stored after it, whichever worker
 * asked and in whichever order the news arrive.
 */
export class RemovalLog {
  readonly #resources = new Map<string, number>();
  readonly #purges: { purge: BroadPurge; atMs: number }[] = [];

  addResource(resource: string, atMs: number): void {
    this.#resources.delete(resource);
    this.#resources.set(resource, atMs);
    if (this.#resources.size > keptResources) {
      this.#resources.delete(this.#resources.keys().next().value!);
    }
  }

  addPurge(purge: BroadPurge, atMs: number): void {
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
