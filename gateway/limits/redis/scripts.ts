import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export type ScriptName = 'take' | 'lease' | 'return' | 'quota';

export interface Script {
  readonly name: ScriptName;
  readonly source: string;
  readonly sha1: string;
}

const read = (name: string): string =>
  readFileSync(new URL(`../../../lua/${name}.lua`, import.meta.url), 'utf8');

/** The scripts of `lua/`, each with the ledger's core before it. */
export function loadScripts(): Readonly<Record<ScriptName, Script>> {
  const core = read('core');
  const load = (name: ScriptName): Script => {
    const source = `${core}\n${read(name)}`;
    return { name, source, sha1: createHash('sha1').update(source).digest('hex') };
  };
  return { take: load('take'), lease: load('lease'), return: load('return'), quota: load('quota') };
}
