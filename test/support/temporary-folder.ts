import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders = new Set<string>();
process.once('exit', () => {
  for (const folder of folders) removeFolder(folder);
});

/** A fresh folder that only this user can read, removed with {@link removeFolder} or when the process ends. */
export function makeFolder(name = 'test'): string {
  const folder = mkdtempSync(join(tmpdir(), `tollgate-${name}-`));
  chmodSync(folder, 0o700);
  folders.add(folder);
  return folder;
}

export function removeFolder(folder: string): void {
  folders.delete(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}
