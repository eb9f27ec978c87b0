import { createHmac, timingSafeEqual } from 'node:crypto';
import {
  classAny,
  encodeName,
  encodeRecord,
  nameResponseCode,
  parseResponse,
  recordTypes,
  skipName,
} from './message.ts';

/** Transaction signatures (RFC 8945). */

export interface TsigKey {
  readonly name: string;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Uint8Array;
}
export type TsigAlgorithm = 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512';
export const tsigAlgorithms: readonly TsigAlgorithm[] = ['hmac-sha256', 'hmac-sha384', 'hmac-sha512'];

const fudgeSeconds = 300;

function encodeTime(seconds: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUIntBE(seconds, 0, 6);
  bytes.writeUInt16BE(fudgeSeconds, 6);
  return bytes;
}

/** What is signed beside the message (RFC 8945, section 4.3.3). */
function encodeVariables(key: TsigKey, timeAndFudge: Buffer, error: number, other: Buffer): Buffer {
  const classAndTtl = Buffer.alloc(6);
  classAndTtl.writeUInt16BE(classAny, 0);
  const end = Buffer.alloc(4);
  end.writeUInt16BE(error, 0);
  end.writeUInt16BE(other.length, 2);
  return Buffer.concat([
    encodeName(key.name),
    classAndTtl,
    encodeName(key.algorithm),
    timeAndFudge,
    end,
    other,
  ]);
}

function computeMac(key: TsigKey, ...parts: readonly Buffer[]): Buffer {
  const hmac = createHmac(key.algorithm.slice('hmac-'.length), key.secret);
  for (const part of parts) hmac.update(part);
  return hmac.digest();
}

/** A signed copy of a request, and its MAC, which the response is checked with. */
export function signRequest(message: Buffer, key: TsigKey, nowMs: number): { message: Buffer; mac: Buffer } {
  const time = encodeTime(Math.floor(nowMs / 1000));
  const mac = computeMac(key, message, encodeVariables(key, time, 0, Buffer.alloc(0)));
  const macLength = Buffer.alloc(2);
  macLength.writeUInt16BE(mac.length);
  const end = Buffer.alloc(6);
  message.copy(end, 0, 0, 2);
  const data = Buffer.concat([encodeName(key.algorithm), time, macLength, mac, end]);
  const signed = Buffer.concat([message, encodeRecord(key.name, recordTypes.TSIG, classAny, 0, data)]);
  signed.writeUInt16BE(signed.readUInt16BE(10) + 1, 10);
  return { message: signed, mac };
}

/** Checks the signature of a response; throws an Error that says what is wrong with it. */
export function verifyResponse(response: Buffer, key: TsigKey, requestMac: Buffer, nowMs: number): void {
  const record = parseResponse(response).additional.at(-1);
  if (record?.type !== recordTypes.TSIG) throw new Error('the response is not signed');
  const { data, start } = record;
  let at = skipName(data, 0);
  const time = data.subarray(at, at + 8);
  const macLength = data.readUInt16BE(at + 8);
  at += 10;
  const mac = data.subarray(at, at + macLength);
  at += macLength;
  const originalId = data.subarray(at, at + 2);
  const error = data.readUInt16BE(at + 2);
  const other = data.subarray(at + 6, at + 6 + data.readUInt16BE(at + 4));
  // A server that does not know the key, or cannot verify it, answers without a MAC.
  if (error === 16 || error === 17) throw new Error(`the server refuses the key: ${nameResponseCode(error)}`);
  const unsigned = Buffer.from(response.subarray(0, start));
  unsigned.writeUInt16BE(unsigned.readUInt16BE(10) - 1, 10);
  originalId.copy(unsigned, 0);
  const macPrefix = Buffer.alloc(2);
  macPrefix.writeUInt16BE(requestMac.length);
  const expected = computeMac(key, macPrefix, requestMac, unsigned, encodeVariables(key, time, error, other));
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected)) {
    throw new Error('the signature of the response is wrong');
  }
  if (error !== 0) throw new Error(`the server refuses the signature: ${nameResponseCode(error)}`);
  const signedAt = time.readUIntBE(0, 6);
  if (Math.abs(signedAt - nowMs / 1000) > time.readUInt16BE(6)) throw new Error('the response is too old');
}
