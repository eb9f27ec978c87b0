/**
 * The format of keys and secrets.
 *
 * `key_id` is public: `ak_test_…` or `ak_live_…`. A secret is `sk_test_…` or `sk_live_…`: 32 random bytes in
 * base62 (43 characters) and six base62 characters of CRC-32 over all that stands before them, so that a typing
 * error is refused without a look-up and leak scanners have a fixed pattern.
 */

export type Environment = 'test' | 'live';
export type KeyKind = 'api_key' | 'bearer';

export const environments: readonly Environment[] = ['test', 'live'];
export const keyKinds: readonly KeyKind[] = ['api_key', 'bearer'];

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretBodyLength = 43;
const checksumLength = 6;
const keyIdBodyLength = 22;
const secretLength = 'sk_test_'.length + secretBodyLength + checksumLength;

export const keyIdPattern = /^ak_(?:test|live)_[0-9A-Za-z]{3,64}$/;
/** For leak scanners; the checksum is to be verified with {@link parseSecret}. */
export const secretPattern = /^sk_(?:test|live)_[0-9A-Za-z]{49}$/;

const crcTable = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  crcTable[n] = c >>> 0;
}

function crc32(text: string, end: number): number {
  let crc = 0xffffffff;
  for (let i = 0; i < end; i++) crc = crcTable[(crc ^ text.charCodeAt(i)) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function base62(bytes: Uint8Array, length: number): string {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  let text = '';
  while (text.length < length) {
    text = alphabet[Number(value % 62n)]! + text;
    value /= 62n;
  }
  return text;
}

function checksum(text: string, end: number): string {
  let value = crc32(text, end);
  let sum = '';
  for (let i = 0; i < checksumLength; i++) {
    sum = alphabet[value % 62]! + sum;
    value = Math.floor(value / 62);
  }
  return sum;
}

/** Makes a secret from 32 random bytes. */
export function mintSecret(environment: Environment, random: Uint8Array): string {
  if (random.length < 32) throw new RangeError('a secret needs 32 random bytes');
  const body = `sk_${environment}_${base62(random.subarray(0, 32), secretBodyLength)}`;
  return body + checksum(body, body.length);
}

/** Makes a `key_id` from at least 16 random bytes. */
export function mintKeyId(environment: Environment, random: Uint8Array): string {
  if (random.length < 16) throw new RangeError('a key id needs 16 random bytes');
  return `ak_${environment}_${base62(random.subarray(0, 16), keyIdBodyLength)}`;
}

/** The environment of a well-formed secret, or null for anything else, a wrong checksum included. */
export function parseSecret(text: string): Environment | null {
  if (text.length !== secretLength || !secretPattern.test(text)) return null;
  const end = secretLength - checksumLength;
  if (checksum(text, end) !== text.slice(end)) return null;
  return text.startsWith('sk_live_') ? 'live' : 'test';
}

/** The environment that a `key_id` names, or null when it is not one. */
export function parseKeyId(text: string): Environment | null {
  if (!keyIdPattern.test(text)) return null;
  return text.startsWith('ak_live_') ? 'live' : 'test';
}
