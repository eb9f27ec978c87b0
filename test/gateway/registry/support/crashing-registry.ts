import { writeSync } from 'node:fs';
import { Registry } from '../../../../gateway/registry/registry.ts';
import { changesOf, isSnapshot, snapshotChanges } from './crash-model.ts';

/**
 * A process that makes revision after revision in the data directory it is given, until it is killed. It prints
 * `opened R` and, for each revision that has to outlive it, `R`.
 */
const registry = await Registry.open({
  dataDir: process.argv[2]!,
  providers: [],
  log: () => undefined,
  onDamage: 'refuse',
  minCompactionBytes: 20_000,
});
writeSync(1, `opened ${registry.revision}\n`);
for (;;) {
  const revision = registry.revision + 1;
  if (isSnapshot(revision)) {
    const intake = await registry.beginSnapshot();
    for (const change of snapshotChanges(revision)) await intake.add(change);
    await registry.commitSnapshot(intake, revision);
  } else if (revision % 2) await registry.change(() => ({ changes: changesOf(revision) }));
  else await registry.applyDelta({ revision, changes: changesOf(revision) });
  // A delta of the control plane may be lost with the process: it is sent again.
  if (revision % 2 || isSnapshot(revision)) writeSync(1, `${revision}\n`);
}
