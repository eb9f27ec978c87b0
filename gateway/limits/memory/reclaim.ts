import { CounterTable, kinds } from './counter-table.ts';
import type { LimiterMemory } from './memory.ts';
import { releaseDead } from './segment-lock.ts';

/** The member numbers of a gateway: the main thread's own, and that of each worker by its index. */
export const mainMember = 1;
export const memberOf = (workerIndex: number): number => workerIndex + 2;

/**
 * Frees what a worker left behind: locks it held when it died, and the concurrency slots of its requests. The main
 * thread calls it once the worker has exited, before its member number is used again. `self` is the caller's own
 * member number, in use by nobody else. Returns how many concurrency slots were given back.
 */
export function reclaimMember(memory: LimiterMemory, member: number, self: number): number {
  const table = new CounterTable(memory, self);
  const { words, doubles } = table;
  let freed = 0;
  for (let segment = 0; segment < table.segments; segment++) {
    const orphaned = releaseDead(words, table.lockIndex(segment), member);
    if (!orphaned && table.used(segment) === 0) continue;
    table.lock(segment);
    try {
      if (orphaned) table.recount(segment);
      table.forEach(segment, (slot) => {
        if (words[slot + 2] !== (kinds.share | (member << 4))) return;
        const held = words[slot + 4]!;
        if (held === 0) return;
        const total = table.find(segment, words[slot + 6]!, words[slot + 7]!);
        words[slot + 4] = 0;
        table.setIdle(slot, 0);
        if (total < 0) return;
        const a = (total + 4) >> 1;
        const left = Math.max(0, doubles[a]! - held);
        doubles[a] = left;
        if (left === 0) table.setIdle(total, 0);
        freed += held;
      });
    } finally {
      table.unlock(segment);
    }
  }
  return freed;
}
