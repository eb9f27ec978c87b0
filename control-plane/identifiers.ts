import { randomBytes } from 'node:crypto';

/** Makes an opaque id such as `app_5f2c…`: 96 random bits. */
export function mintId(prefix: 'acc' | 'app' | 'usr' | 'dk' | 'ses' | 'req' | 'job'): string {
  return `${prefix}_${randomBytes(12).toString('hex')}`;
}
