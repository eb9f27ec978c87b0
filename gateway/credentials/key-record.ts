import type { AddressRules } from '#contract/access.ts';
import type { App, Key, Secret } from '#contract/registry.ts';
import { keyBits } from './key-table-reader.ts';
import { RecordDecoder, RecordEncoder } from './record-fields.ts';

/**
 * Keys and apps as compact records. A key: bits u16, digests (count u8, 32 bytes each), then what the bits announce
 * in the order below, then its secrets.
 */

const secretBits = { digest: 1, dataKey: 2, box: 4, boxAsText: 8, expiresAt: 16 } as const;
const appBits = { plan: 1, version: 2 } as const;

export type Intern = (text: string) => number | null;
export type Interned = (number: number) => string;

const encoder = new RecordEncoder();

/** The payload of a key; valid until the next call. Throws RangeError for more than 255 secrets. */
export function encodeKey(key: Key, intern: Intern): Uint8Array {
  if (key.secrets.length > 255) throw new RangeError('a key has at most 255 secrets');
  encoder.reset();
  encoder.u16(bitsOf(key));
  const digests = key.secrets.filter((secret) => secret.sha256 !== undefined);
  encoder.u8(digests.length);
  for (const { sha256 } of digests) encoder.hex(sha256!, 32);
  if (key.app !== undefined) encoder.text(key.app, null);
  if (key.account !== undefined) encoder.text(key.account, null);
  if (key.publicKey !== undefined) encoder.text(key.publicKey, null);
  if (key.expiresAt !== undefined) {
    if (fitsU48(key.expiresAt)) encoder.u48(key.expiresAt);
    else encoder.f64(key.expiresAt);
  }
  if (key.scopes !== undefined) encoder.text(JSON.stringify(key.scopes), intern);
  if (key.addresses !== undefined) encoder.text(JSON.stringify(key.addresses), null);
  if (key.version !== undefined) encoder.text(key.version, intern);
  if (key.plan !== undefined) encoder.text(key.plan, intern);
  if (key.quota !== undefined) encoder.text(JSON.stringify(key.quota), intern);
  encoder.u8(key.secrets.length);
  for (const secret of key.secrets) encodeSecret(secret, intern);
  return encoder.take();
}

export function decodeKey(id: string, bytes: Buffer, from: number, end: number, interned: Interned): Key {
  const decoder = new RecordDecoder(bytes, from, end);
  const bits = decoder.u16();
  const digestCount = decoder.u8();
  let digestAt = decoder.at;
  decoder.at += 32 * digestCount;
  const key: { -readonly [K in keyof Key]: Key[K] } = {
    id,
    kind: bits & keyBits.bearer ? 'bearer' : 'api_key',
    environment: bits & keyBits.live ? 'live' : 'test',
    status: bits & keyBits.revoked ? 'revoked' : 'active',
    secrets: [],
  };
  if (bits & keyBits.app) key.app = decoder.text(interned);
  if (bits & keyBits.account) key.account = decoder.text(interned);
  if (bits & keyBits.publicKey) key.publicKey = decoder.text(interned);
  if (bits & keyBits.expiresAt) key.expiresAt = bits & keyBits.wideExpiry ? decoder.f64() : decoder.u48();
  if (bits & keyBits.scopes) key.scopes = JSON.parse(decoder.text(interned)) as string[];
  if (bits & keyBits.addresses) key.addresses = JSON.parse(decoder.text(interned)) as AddressRules;
  if (bits & keyBits.version) key.version = decoder.text(interned);
  if (bits & keyBits.plan) key.plan = decoder.text(interned);
  if (bits & keyBits.quota) key.quota = JSON.parse(decoder.text(interned)) as NonNullable<Key['quota']>;
  const secretCount = decoder.u8();
  const secrets: Secret[] = [];
  for (let n = 0; n < secretCount; n++) {
    const secretFlags = decoder.u8();
    const secret: { -readonly [K in keyof Secret]: Secret[K] } = {};
    if (secretFlags & secretBits.digest) {
      secret.sha256 = bytes.toString('hex', digestAt, digestAt + 32);
      digestAt += 32;
    }
    if (secretFlags & secretBits.dataKey) secret.dataKey = decoder.text(interned);
    if (secretFlags & secretBits.box) {
      secret.box = secretFlags & secretBits.boxAsText ? decoder.text(interned) : decoder.base64();
    }
    if (secretFlags & secretBits.expiresAt) secret.expiresAt = decoder.f64();
    secrets.push(secret);
  }
  key.secrets = secrets;
  return key;
}

/** The payload of an app; valid until the next call. */
export function encodeApp(app: App, intern: Intern): Uint8Array {
  encoder.reset();
  encoder.u8((app.plan === undefined ? 0 : appBits.plan) | (app.version === undefined ? 0 : appBits.version));
  encoder.text(app.account, null);
  encoder.text(app.name, null);
  if (app.plan !== undefined) encoder.text(app.plan, intern);
  if (app.version !== undefined) encoder.text(app.version, intern);
  return encoder.take();
}

export function decodeApp(id: string, bytes: Buffer, from: number, end: number, interned: Interned): App {
  const decoder = new RecordDecoder(bytes, from, end);
  const bits = decoder.u8();
  const app: { -readonly [K in keyof App]: App[K] } = {
    id,
    account: decoder.text(interned),
    name: decoder.text(interned),
  };
  if (bits & appBits.plan) app.plan = decoder.text(interned);
  if (bits & appBits.version) app.version = decoder.text(interned);
  return app;
}

function bitsOf(key: Key): number {
  let bits = 0;
  if (key.kind === 'bearer') bits |= keyBits.bearer;
  if (key.environment === 'live') bits |= keyBits.live;
  if (key.status === 'revoked') bits |= keyBits.revoked;
  if (key.app !== undefined) bits |= keyBits.app;
  if (key.account !== undefined) bits |= keyBits.account;
  if (key.publicKey !== undefined) bits |= keyBits.publicKey;
  if (key.expiresAt !== undefined) {
    bits |= fitsU48(key.expiresAt) ? keyBits.expiresAt : keyBits.expiresAt | keyBits.wideExpiry;
  }
  if (key.scopes !== undefined) bits |= keyBits.scopes;
  if (key.addresses !== undefined) bits |= keyBits.addresses;
  if (key.version !== undefined) bits |= keyBits.version;
  if (key.plan !== undefined) bits |= keyBits.plan;
  if (key.quota !== undefined) bits |= keyBits.quota;
  return bits;
}

function fitsU48(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 48;
}

function encodeSecret(secret: Secret, intern: Intern): void {
  let bits = 0;
  const box = secret.box === undefined ? null : Buffer.from(secret.box, 'base64');
  const canonical = box !== null && box.length < 65_536 && box.toString('base64') === secret.box;
  if (secret.sha256 !== undefined) bits |= secretBits.digest;
  if (secret.dataKey !== undefined) bits |= secretBits.dataKey;
  if (box !== null) bits |= secretBits.box;
  if (box !== null && !canonical) bits |= secretBits.boxAsText;
  if (secret.expiresAt !== undefined) bits |= secretBits.expiresAt;
  encoder.u8(bits);
  if (secret.dataKey !== undefined) encoder.text(secret.dataKey, intern);
  if (box !== null && canonical) encoder.block(box);
  else if (box !== null) encoder.text(secret.box!, null);
  if (secret.expiresAt !== undefined) encoder.f64(secret.expiresAt);
}
