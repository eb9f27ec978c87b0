import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Registry } from '../../../gateway/registry/registry.ts';
import { startProcess } from '../../support/processes.ts';
import { makeFolder } from '../../support/temporary-folder.ts';
import { modelKeyIds, stateAt } from './support/crash-model.ts';

const script = join(import.meta.dirname, 'support/crashing-registry.ts');

test('a registry killed in the middle of writes comes back as it was at a revision, none lost', async () => {
  const dataDir = makeFolder();
  let total = 0;
  for (let round = 1; round <= 12; round++) {
    const child = startProcess(process.execPath, [script, dataDir]);
    // Killed at another place each time: in appends, in compactions, while a snapshot is taken over.
    const stopAt = total + round * 23;
    await child.waitFor(/^opened \d+$/m);
    for (;;) {
      const printed = child.stdout().trim().split('\n').slice(1).map(Number);
      if ((printed.at(-1) ?? 0) >= stopAt) break;
      await new Promise((resolve) => child.child.stdout!.once('data', resolve));
    }
    child.kill('SIGKILL');
    await child.ended;
    const durable = Math.max(...child.stdout().trim().split('\n').slice(1).map(Number));
    const registry = await Registry.open({
      dataDir,
      providers: [],
      log: () => undefined,
      onDamage: 'refuse',
    });
    assert.ok(registry.revision >= durable, `revision ${durable} was lost, ${registry.revision} is there`);
    const expected = stateAt(registry.revision);
    for (const id of modelKeyIds) {
      assert.deepEqual(registry.keys.find(id)?.key, expected.keys.get(id), `round ${round}, ${id}`);
    }
    const routes = [...registry.routing.routes].map(([id, route]) => [id, route.totalTimeoutMs]);
    assert.deepEqual(new Map(routes as [string, number][]), expected.routes);
    total = registry.revision;
    await registry.close();
  }
  assert.ok(total > 500);
  const files = readdirSync(join(dataDir, 'registry'));
  assert.ok(files.length <= 3, `old files are removed: ${files}`);
});
