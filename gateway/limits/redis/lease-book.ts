import { callerOnRoute, type LimitSet, type PreparedLimit, type Subjects } from '../limiter.ts';
import { Lease } from './lease.ts';
import { ledgerTag } from './ledger-keys.ts';

class SubjectLeases {
  readonly subject: string;
  readonly tag: string;
  readonly byCounter = new Map<string, Lease>();
  /** The leases of the set that was asked for last. */
  lastSet: LimitSet | null = null;
  lastLeases: Lease[] = [];

  constructor(subject: string) {
    this.subject = subject;
    this.tag = ledgerTag(subject);
  }

  get(prepared: PreparedLimit): Lease {
    let lease = this.byCounter.get(prepared.ledgerSuffix);
    if (lease === undefined) {
      lease = new Lease(this.subject, this.tag, prepared);
      this.byCounter.set(prepared.ledgerSuffix, lease);
    } else if (lease.prepared !== prepared) {
      // The plan has changed: what was refused under the old one may be admitted now.
      lease.prepared = prepared;
      lease.refusedUntil = 0;
    }
    return lease;
  }
}

export const checkEveryMs = 250;
const wheelSize = 32;

/**
 * The leases of this gateway, by subject, and when each is to be looked after: a wheel of ticks, so that the cost is that
 * of the active leases.
 */
export class LeaseBook {
  readonly #bySubject: Map<string, SubjectLeases>[] = Array.from(
    { length: callerOnRoute + 1 },
    () => new Map(),
  );
  readonly #wheel: Lease[][] = Array.from({ length: wheelSize }, () => []);
  readonly #scratch: Lease[] = [];
  #tick = 0;

  /** The leases of a set in its order; the array is used again on the next call. */
  of(set: LimitSet, subjects: Subjects): readonly Lease[] {
    const { limits } = set;
    if ((set.scopeBits & (set.scopeBits - 1)) === 0) {
      const entry = this.#entry(limits[0]!.scope, subjects);
      if (entry.lastSet !== set) {
        entry.lastLeases = limits.map((prepared) => entry.get(prepared));
        entry.lastSet = set;
      }
      return entry.lastLeases;
    }
    const leases = this.#scratch;
    leases.length = limits.length;
    for (let i = 0; i < limits.length; i++)
      leases[i] = this.#entry(limits[i]!.scope, subjects).get(limits[i]!);
    return leases;
  }

  schedule(lease: Lease, inMs: number): void {
    if (lease.scheduled) return;
    lease.scheduled = true;
    const ticks = Math.min(wheelSize - 1, Math.max(1, Math.ceil(inMs / checkEveryMs)));
    this.#wheel[(this.#tick + ticks) % wheelSize]!.push(lease);
  }

  /** Moves on by one tick; returns the leases that are due. */
  advance(): Lease[] {
    this.#tick = (this.#tick + 1) % wheelSize;
    const due = this.#wheel[this.#tick]!;
    this.#wheel[this.#tick] = [];
    for (const lease of due) lease.scheduled = false;
    return due;
  }

  /** All leases that have been granted something and not been dropped. */
  *active(): Iterable<Lease> {
    for (const due of this.#wheel) yield* due;
  }

  drop(lease: Lease): void {
    const entries = this.#bySubject[lease.prepared.scope]!;
    const entry = entries.get(lease.subject);
    if (entry === undefined || entry.byCounter.get(lease.prepared.ledgerSuffix) !== lease) return;
    entry.byCounter.delete(lease.prepared.ledgerSuffix);
    entry.lastSet = null;
    if (entry.byCounter.size === 0) entries.delete(lease.subject);
  }

  get subjects(): number {
    return this.#bySubject.reduce((sum, entries) => sum + entries.size, 0);
  }

  #entry(scope: number, subjects: Subjects): SubjectLeases {
    const subject = subjects[scope]!;
    const entries = this.#bySubject[scope]!;
    let entry = entries.get(subject);
    if (entry === undefined) {
      entry = new SubjectLeases(subject);
      entries.set(subject, entry);
    }
    return entry;
  }
}
