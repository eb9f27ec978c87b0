import type { FlightLocks, Release } from './flight-locks.ts';
import type { SecondLevel } from './second-level.ts';
import type { ResponseRecord, StoredResponse } from './stored-response.ts';

/** What is wanted from elsewhere. */
export interface Wanted {
  /** The key that requests for it meet under. */
  readonly key: string;
  readonly resource: string;
  /** What this worker has stored for it by now, if it may be used. */
  find(): StoredResponse | null;
  /** Takes over what another gateway has stored. */
  adopt(records: readonly ResponseRecord[]): void;
  readonly waitTimeoutMs: number;
}

/** Either an answer, or the right to ask the upstream, to be given back when that is over. */
export type Found = { readonly stored: StoredResponse } | { readonly release: Release | null };

/**
 * Where a miss is looked up before the upstream is asked: at the other workers of this host, which may be fetching it,
 * then in the second level, where other gateways put what they have.
 */
export class Elsewhere {
  readonly #locks: FlightLocks | null;
  readonly #secondLevel: SecondLevel | null;

  constructor(locks: FlightLocks | null, secondLevel: SecondLevel | null) {
    this.#locks = locks;
    this.#secondLevel = secondLevel;
  }

  /** At once where nothing has to be waited for. */
  look(wanted: Wanted): Found | Promise<Found> {
    const locks = this.#locks;
    if (locks === null) return this.#lookFurther(wanted, null);
    const release = locks.acquire(wanted.key);
    if (release === null) return this.#await(locks, wanted);
    return this.#lookFurther(wanted, release);
  }

  async #await(locks: FlightLocks, wanted: Wanted): Promise<Found> {
    await locks.wait(wanted.key, wanted.waitTimeoutMs);
    // The news of what was stored come by message and may be a turn behind the lock.
    for (let turn = 0; turn < 3; turn++) {
      const stored = wanted.find();
      if (stored !== null) return { stored };
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this.#lookFurther(wanted, locks.acquire(wanted.key));
  }

  #lookFurther(wanted: Wanted, release: Release | null): Found | Promise<Found> {
    const second = this.#secondLevel;
    if (second === null) return { release };
    return second.look(wanted).then(
      (remote) => {
        if (remote.records.length > 0) wanted.adopt(remote.records);
        const stored = remote.records.length > 0 ? wanted.find() : null;
        if (stored !== null) {
          remote.release?.();
          release?.();
          return { stored };
        }
        return { release: both(release, remote.release) };
      },
      () => ({ release }),
    );
  }
}

function both(a: Release | null, b: Release | null): Release | null {
  if (a === null || b === null) return a ?? b;
  return () => {
    a();
    b();
  };
}
