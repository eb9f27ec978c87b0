import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';

export const root: string = join(import.meta.dirname, '../..');

/** The TypeScript files below a folder of the project, as paths from its root. */
export function listSources(folder: string): string[] {
  return globSync(`${folder}/**/*.{ts,tsx}`, {
    cwd: root,
    exclude: (path) => String(path).includes('node_modules'),
  })
    .filter((path) => !path.includes('node_modules'))
    .sort();
}

export interface Import {
  /** As written. */
  readonly specifier: string;
  /** Path from the root when it is a file of the project, else null. */
  readonly file: string | null;
  /** Erased before the program runs. */
  readonly typeOnly: boolean;
  /** Started in a thread or process of its own. */
  readonly started: boolean;
}

const statement =
  /^[ \t]*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)|new URL\(\s*['"](\.[^'"]+\.tsx?)['"]\s*,\s*import\.meta\.url/gm;

/** All modules that a file names: imports, re-exports, dynamic imports, and workers started by URL. */
export function readImports(path: string): Import[] {
  const text = readFileSync(join(root, path), 'utf8');
  return [...text.matchAll(statement)].map((match) => {
    const specifier = (match[2] ?? match[3] ?? match[4])!;
    return {
      specifier,
      file: resolve(path, specifier),
      typeOnly: match[1] !== undefined,
      started: match[4] !== undefined,
    };
  });
}

function resolve(from: string, specifier: string): string | null {
  if (specifier.startsWith('#contract/')) return specifier.slice(1);
  if (!specifier.startsWith('.')) return null;
  return relative(root, normalize(join(root, dirname(from), specifier)));
}
