import type { Release } from './flight-locks.ts';
import type { BroadPurge } from './removal.ts';
import type { ResponseRecord } from './stored-response.ts';

/** A store that gateways share. It is an optimisation: where it fails, the upstream is asked. */
export interface SecondLevel {
  /**
   * All that is stored of a resource; where that is nothing, the right to fetch it (`release` gives it back), waited
   * for as long as another gateway fetches it.
   */
  look(wanted: {
    readonly key: string;
    readonly resource: string;
    readonly waitTimeoutMs: number;
  }): Promise<{ readonly records: readonly ResponseRecord[]; readonly release: Release | null }>;
  /** In the background. */
  put(record: ResponseRecord): void;
  invalidate(resource: string): void;
  purge(purge: BroadPurge): void;
  close(): Promise<void>;
}
