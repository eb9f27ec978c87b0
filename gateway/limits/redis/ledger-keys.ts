import { createHash } from 'node:crypto';
import type { PreparedLimit } from '../limiter.ts';

const prefix = 'tg:{';

/** A subject as it stands between the braces of a key: all counters of a subject are in one slot of a cluster. */
export function ledgerTag(subject: string): string {
  if (subject.length > 0 && subject.length <= 200 && subject.indexOf('}') < 0) return subject;
  return `#${createHash('sha256').update(subject).digest('base64url')}`;
}

export function ledgerKey(tag: string, limit: PreparedLimit): string {
  return prefix + tag + limit.ledgerSuffix;
}

const polynomial = 0x1021;
const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) !== 0 ? (crc << 1) ^ polynomial : crc << 1;
  return crc & 0xffff;
});

/** The cluster slot of a hash tag (CRC16/XMODEM modulo 16,384). */
export function slotOf(tag: string): number {
  let crc = 0;
  for (const byte of Buffer.from(tag)) crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ byte]!;
  return crc & 16_383;
}
