import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { listSources, readImports, root } from './source-files.ts';

const folders = ['bin', 'contract', 'gateway', 'control-plane', 'sandbox', 'client', 'bench', 'test'];
const sources = folders.flatMap(listSources);

/** Imports of files below `folder` that `forbidden` picks, as "file → specifier". */
function offences(folder: string, forbidden: (target: string, specifier: string) => boolean): string[] {
  return listSources(folder).flatMap((file) =>
    readImports(file)
      .filter(({ file: target, specifier }) => forbidden(target ?? '', specifier))
      .map(({ specifier }) => `${file} → ${specifier}`),
  );
}

test('every import of a project file exists', () => {
  assert.ok(sources.length > 50);
  const missing = sources.flatMap((file) =>
    readImports(file)
      .filter(({ file: target }) => target !== null && !existsSync(join(root, target)))
      .map(({ specifier }) => `${file} → ${specifier}`),
  );
  assert.deepEqual(missing, []);
});

test('the gateway imports nothing of the control plane, and the other way round', () => {
  assert.deepEqual(
    offences('gateway', (target) => /^(?:control-plane|bin|sandbox|test|bench)\//.test(target)),
    [],
  );
  assert.deepEqual(
    offences('control-plane', (target) => /^(?:gateway|bin|sandbox|test|bench)\//.test(target)),
    [],
  );
});

test('the contract imports only itself and does no I/O', () => {
  const allowedModules = /^(?:node:crypto|node:buffer|node:zlib|typebox(?:\/.*)?|yaml|jose)$/;
  assert.deepEqual(
    offences(
      'contract',
      (target, specifier) => !target.startsWith('contract/') && !allowedModules.test(specifier),
    ),
    [],
  );
  const effects = /\b(?:fetch\(|setTimeout\(|setInterval\(|process\.(?:env|on|exit)|console\.)/;
  const effectful = listSources('contract').filter((file) =>
    effects.test(readFileSync(join(root, file), 'utf8')),
  );
  assert.deepEqual(effectful, []);
});

test('the sandbox stands alone', () => {
  assert.deepEqual(
    offences('sandbox', (target) => target !== '' && !/^(?:sandbox|contract)\//.test(target)),
    [],
  );
});

test('no imports go in a circle', () => {
  const edges = new Map(
    sources.map((file) => [
      file,
      readImports(file)
        .filter(({ file: target, typeOnly, started }) => target !== null && !typeOnly && !started)
        .map(({ file: target }) => target!),
    ]),
  );
  const state = new Map<string, 'open' | 'done'>();
  const circles: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      circles.push([...trail.slice(trail.indexOf(file)), file].join(' → '));
      return;
    }
    state.set(file, 'open');
    for (const next of edges.get(file) ?? []) visit(next, [...trail, file]);
    state.set(file, 'done');
  };
  for (const file of sources) visit(file, []);
  assert.deepEqual(circles, []);
});

test('no folder or file is named utils, common, helpers or manager', () => {
  const vague = sources.filter((file) =>
    /(?:^|[/.-])(?:utils?|common|helpers?|managers?)(?:[/.-]|$)/.test(file),
  );
  assert.deepEqual(vague, []);
});
