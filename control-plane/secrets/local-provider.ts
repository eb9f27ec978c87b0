import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { mintLocalKey, parseLocalKey, unwrapDataKey, wrapDataKey } from '#contract/sealing.ts';
import { type KeyProvider, ProviderError } from './provider.ts';

/** Wraps data keys with a root key of this host. */
export function openLocalProvider(rootKey: Buffer): KeyProvider {
  return {
    name: 'local',
    async wrap(id, dataKey) {
      return wrapDataKey(rootKey, id, dataKey);
    },
    async unwrap(id, wrapped) {
      const dataKey = unwrapDataKey(rootKey, id, wrapped);
      if (!dataKey) throw new ProviderError(`the local key does not open data key ${id}`);
      return dataKey;
    },
  };
}

/** Reads the local key file, which is made on first use with mode 0600. */
export function readLocalKey(file: string): Buffer {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, mintLocalKey(), { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new ProviderError(`${file} must not be open to others: chmod 600 ${file}`);
  }
  const key = parseLocalKey(readFileSync(file, 'utf8'));
  if (!key) throw new ProviderError(`${file} does not hold 32 bytes in base64`);
  return key;
}
