import { existsSync } from 'node:fs';

/** Builds the console; does nothing where the build tool or the sources are not installed (a production image). */
const sources = new URL('./web/index.html', import.meta.url);
let vite: typeof import('vite') | null = null;
try {
  vite = await import('vite');
} catch {}
if (vite !== null && existsSync(sources)) {
  const configFile = new URL('./vite.config.ts', import.meta.url).pathname;
  await vite.build({ configFile, logLevel: 'warn' });
}
