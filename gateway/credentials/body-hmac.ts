import { createHmac, hash } from 'node:crypto';

const blockBytes = 64;
const oneShotBytes = 16_384;
const inner = Buffer.alloc(blockBytes + oneShotBytes);
const outer = Buffer.alloc(blockBytes + 32);

/**
 * HMAC-SHA256 (RFC 2104) in lower-case hex; a secret given as text counts as UTF-8. Short keys and bodies go through
 * two one-shot hashes, which cost half of what an Hmac object does.
 */
export function hmacSha256Hex(secret: string | Uint8Array, body: Uint8Array): string {
  const { length } = secret;
  if (length > blockBytes || body.length > oneShotBytes || !setPads(secret)) {
    return createHmac('sha256', secret).update(body).digest('hex');
  }
  inner.fill(0x36, length, blockBytes);
  outer.fill(0x5c, length, blockBytes);
  inner.set(body, blockBytes);
  const digest = hash('sha256', inner.subarray(0, blockBytes + body.length), 'latin1');
  outer.write(digest, blockBytes, 'latin1');
  return hash('sha256', outer, 'hex');
}

/** False when the secret is text with characters of several bytes. */
function setPads(secret: string | Uint8Array): boolean {
  if (typeof secret !== 'string') {
    for (let i = 0; i < secret.length; i++) {
      inner[i] = secret[i]! ^ 0x36;
      outer[i] = secret[i]! ^ 0x5c;
    }
    return true;
  }
  for (let i = 0; i < secret.length; i++) {
    const code = secret.charCodeAt(i);
    if (code > 0x7f) return false;
    inner[i] = code ^ 0x36;
    outer[i] = code ^ 0x5c;
  }
  return true;
}

/** Whether `presented` from `offset` to its end is `digest`, in time that depends on lengths only. Upper case is read too. */
export function equalsHex(digest: string, presented: string, offset: number): boolean {
  if (presented.length - offset !== digest.length) return false;
  let difference = 0;
  for (let i = 0; i < digest.length; i++) {
    difference |= digest.charCodeAt(i) ^ (presented.charCodeAt(offset + i) | 0x20);
  }
  return difference === 0;
}

/** Whether `text` from `offset` to its end is hexadecimal and not empty. */
export function isHex(text: string, offset: number): boolean {
  if (offset >= text.length) return false;
  for (let i = offset; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const letter = code | 0x20;
    if (!((code >= 0x30 && code <= 0x39) || (letter >= 0x61 && letter <= 0x66))) return false;
  }
  return true;
}
