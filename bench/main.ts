/** `npm run bench -- NAME [arguments]` runs `bench/NAME.ts`; without a name it lists them. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== 'main.ts')
  .map((file) => file.slice(0, -3))
  .sort();
const [name, ...args] = process.argv.slice(2);

/** The first sentence of a benchmark's leading comment. */
function describe(benchmark: string): string {
  const text = readFileSync(join(import.meta.dirname, `${benchmark}.ts`), 'utf8');
  const comment = /^\/\*\*([\s\S]*?)\*\//m.exec(text)?.[1] ?? '';
  return /^[\s*]*([\s\S]*?[.?:])(?:\s|$)/.exec(comment)?.[1]?.replace(/\s*\n[\s*]*/g, ' ') ?? '';
}

if (name === undefined || !names.includes(name)) {
  console.error('Usage: npm run bench -- NAME\n');
  for (const known of names) console.error(`  ${known.padEnd(16)} ${describe(known)}`);
  process.exit(2);
}
const { status } = spawnSync(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...args], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
