import { readFile } from 'node:fs/promises';
import type { DataKey } from '#contract/registry.ts';
import { parseLocalKey, unwrapDataKey } from '#contract/sealing.ts';

/** Opens the data keys that one provider has wrapped. */
export interface KeyProvider {
  /** What data keys of this provider carry in `provider`. */
  readonly name: string;
  /** The data key. Rejects with a reason that may be logged. */
  unwrap(dataKey: DataKey): Promise<Uint8Array>;
}

/** The provider whose root key is in a file of 32 bytes in base64. The file is read when it is needed. */
export function localKeyProvider(path: string): KeyProvider {
  return {
    name: 'local',
    unwrap: async ({ id, wrapped }) => {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        throw new Error(`${path}: cannot be read (${error.code})`);
      });
      const root = parseLocalKey(text);
      if (root === null) throw new Error(`${path}: is not a key file`);
      const dataKey = unwrapDataKey(root, id, wrapped);
      if (dataKey === null) throw new Error(`${path}: is not the key that data key ${id} was wrapped with`);
      return dataKey;
    },
  };
}
