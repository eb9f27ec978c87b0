import { createHash, randomBytes } from 'node:crypto';

const pattern = /^mk_[A-Za-z0-9_-]{43}$/;

/** A new master key: 32 random bytes. */
export function mintMasterKey(): string {
  return `mk_${randomBytes(32).toString('base64url')}`;
}

/** What is stored of a master key; null for what cannot be one. A random key needs no slow hash. */
export function digestMasterKey(text: string | undefined): string | null {
  if (text === undefined || !pattern.test(text)) return null;
  return createHash('sha256').update(text).digest('hex');
}
