/**
 * Writes `client/tollgate-client.js`, the package export `tollgate/client`: one ES module in plain JavaScript, which
 * browsers load as it is. `npm run build:client` after a change of its sources; a test compares.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';

const sources = ['contract/structured-fields.ts', 'contract/signing.ts', 'client/index.ts'];
const root = join(import.meta.dirname, '..');
export const clientFile: string = join(root, 'client/tollgate-client.js');

export function buildClient(): string {
  let text = `// Made from ${sources.join(', ')} by client/build.ts.\n`;
  for (const source of sources) {
    const script = stripTypeScriptTypes(readFileSync(join(root, source), 'utf8'), { mode: 'strip' });
    const own = script.replace(/^import [^;]*? from '[^']+';\n/gm, '');
    // Only what the last source exports is the module's interface.
    text += `\n${source.startsWith('client/') ? own : own.replace(/^export (?=(?:async )?(?:function|class|const) )/gm, '')}`;
  }
  return format(text);
}

function format(script: string): string {
  const biome = join(root, 'node_modules/.bin/biome');
  const { status, stdout, stderr } = spawnSync(biome, ['format', '--stdin-file-path=client/module.js'], {
    cwd: root,
    input: script,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the client could not be formatted: ${stderr}`);
  return stdout;
}

if (import.meta.main) writeFileSync(clientFile, buildClient());
