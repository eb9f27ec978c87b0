import type { Change, Key } from '#contract/registry.ts';
import { setKey, setRoute } from './objects.ts';

/** What each revision of the crash test does, and so what has to be there after any of them. */

const keyCount = 40;

export function changesOf(revision: number): Change[] {
  const changes: Change[] = [
    setKey(`crash-${revision % keyCount}`, {
      expiresAt: revision,
      scopes: [`scope:${revision % 13}`],
      app: `app-${revision % 7}`,
    }),
    { kind: 'key', id: `crash-${(revision * 7) % keyCount}`, object: null },
  ];
  if (revision % 5 === 0) changes.push(setRoute(`r${revision % 3}`, { totalTimeoutMs: revision }));
  return changes;
}

/** Revisions at which the whole registry is sent again, as a snapshot. */
export function isSnapshot(revision: number): boolean {
  return revision % 97 === 0;
}

export interface ModelState {
  readonly keys: ReadonlyMap<string, Key>;
  readonly routes: ReadonlyMap<string, number>;
}

export function stateAt(revision: number): ModelState {
  const keys = new Map<string, Key>();
  const routes = new Map<string, number>();
  for (let r = 1; r <= revision; r++) {
    for (const change of changesOf(r)) {
      if (change.kind === 'route') routes.set(change.id, change.object!.totalTimeoutMs!);
      else if (change.object === null) keys.delete(change.id);
      else keys.set(change.id, change.object as Key);
    }
  }
  return { keys, routes };
}

/** The state as the changes of a snapshot. */
export function snapshotChanges(revision: number): Change[] {
  const { keys, routes } = stateAt(revision);
  return [
    ...[...keys.values()].map((object): Change => ({ kind: 'key', id: object.id, object })),
    ...[...routes].map(([id, totalTimeoutMs]) => setRoute(id, { totalTimeoutMs })),
  ];
}

export const modelKeyIds: readonly string[] = Array.from({ length: keyCount }, (_, n) => `crash-${n}`);
