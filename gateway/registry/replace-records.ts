import { setImmediate } from 'node:timers/promises';
import type { KeyTable } from '../credentials/key-table.ts';
import { recordKinds } from '../credentials/key-table-layout.ts';
import { type EntrySink, type FileFacts, readEntries } from './disk/entries.ts';
import type { Spool } from './disk/spool.ts';
import { registryRecordKinds } from './state.ts';

/**
 * Makes the keys, apps and plans of the table exactly those of a collected snapshot. What others refer to comes first
 * and goes last. Lets other work of the thread through in between; records must not be moved meanwhile.
 */
export async function replaceRecords(table: KeyTable, spool: Spool): Promise<void> {
  table.beginReplacement();
  for (const keysOnly of [false, true]) {
    const sink: EntrySink = {
      onRecord: (record) => {
        if ((record[0] === recordKinds.key) === keysOnly) table.setRecord(record);
      },
      onRevision: () => undefined,
      onInterned: () => undefined,
      onRemoval: () => undefined,
      onPlain: () => undefined,
      onMessage: () => undefined,
    };
    const facts: FileFacts = { head: null, records: 0, expected: -1, checkHead: () => undefined };
    for await (const payload of spool.read()) {
      readEntries(payload, sink, 'snapshot', facts);
      await setImmediate();
    }
  }
  for (const _ of table.endReplacement(registryRecordKinds)) await setImmediate();
}
