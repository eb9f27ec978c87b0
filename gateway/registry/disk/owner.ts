import { readFile, rm, writeFile } from 'node:fs/promises';
import { identifyProcess, isRunning } from '../../usage/process-identity.ts';
import { DiskCopyError } from './frames.ts';

/**
 * Notes this process as the owner of a copy, in a file. Rejects with a DiskCopyError when another one that runs on this
 * machine is. Resolves with what ends the ownership.
 */
export async function takeOwnership(path: string): Promise<() => Promise<void>> {
  const self = identifyProcess();
  const note = (flag: 'wx' | 'w'): Promise<void> => writeFile(path, `${self}\n`, { flag, mode: 0o600 });
  try {
    await note('wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const owner = (await readFile(path, 'utf8').catch(() => '')).trim();
    if (owner !== self && isRunning(owner)) {
      throw new DiskCopyError(`${path}: process ${owner.split(' ')[0]} uses this data directory`);
    }
    await note('w');
  }
  return () => rm(path, { force: true });
}
