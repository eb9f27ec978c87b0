import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/**
 * Envelope encryption of key secrets: a secret is sealed under a data key, and the data key is wrapped by a key
 * provider. Both are AES-256-GCM boxes: base64 of nonce (12) ‖ ciphertext ‖ tag (16).
 */

const algorithm = 'aes-256-gcm';
const nonceLength = 12;
const tagLength = 16;
export const dataKeyLength = 32;

function seal(key: Uint8Array, associated: string, plaintext: Uint8Array): string {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagLength });
  cipher.setAAD(Buffer.from(associated, 'utf8'));
  const parts = [nonce, cipher.update(plaintext), cipher.final()];
  return Buffer.concat([...parts, cipher.getAuthTag()]).toString('base64');
}

function open(key: Uint8Array, associated: string, box: string): Buffer | null {
  const bytes = Buffer.from(box, 'base64');
  if (bytes.length < nonceLength + tagLength || key.length !== dataKeyLength) return null;
  const end = bytes.length - tagLength;
  const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceLength), {
    authTagLength: tagLength,
  });
  decipher.setAAD(Buffer.from(associated, 'utf8'));
  decipher.setAuthTag(bytes.subarray(end));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(nonceLength, end)), decipher.final()]);
  } catch {
    return null;
  }
}

/** Seals a secret under a data key of 32 bytes; the box opens only with the same `keyId`. */
export function sealSecret(dataKey: Uint8Array, keyId: string, plaintext: string): string {
  return seal(dataKey, keyId, Buffer.from(plaintext, 'utf8'));
}

/** The secret in a box, or null when the data key, the key id or the box is not the one it was sealed with. */
export function openSecret(dataKey: Uint8Array, keyId: string, box: string): string | null {
  return open(dataKey, keyId, box)?.toString('utf8') ?? null;
}

/** Wraps a data key with the 32 bytes of the local key provider; the `provider` of such data keys is `local`. */
export function wrapDataKey(rootKey: Uint8Array, dataKeyId: string, dataKey: Uint8Array): string {
  return seal(rootKey, dataKeyId, dataKey);
}

/** The data key in a wrapped one of provider `local`, or null when the root key or the id does not fit. */
export function unwrapDataKey(rootKey: Uint8Array, dataKeyId: string, wrapped: string): Buffer | null {
  const key = open(rootKey, dataKeyId, wrapped);
  return key?.length === dataKeyLength ? key : null;
}

/** Parses the text of a local key file: 32 random bytes in base64. Null when it is anything else. */
export function parseLocalKey(text: string): Buffer | null {
  const trimmed = text.trim();
  const key = Buffer.from(trimmed, 'base64');
  return key.length === dataKeyLength && key.toString('base64') === trimmed ? key : null;
}

/** Makes the text of a local key file; it belongs in a file of mode 0600. */
export function mintLocalKey(): string {
  return `${randomBytes(dataKeyLength).toString('base64')}\n`;
}
