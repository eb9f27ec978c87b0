/** What larger values are taken for (RFC 9111 section 1.2.2). */
export const maxDeltaSeconds = 2_147_483_648;

/**
 * A delta-seconds value (RFC 9111 section 1.2.2), digits only; values too large are `maxDeltaSeconds`.
 * Null when it is signed, fractional, empty or anything else.
 */
export function parseDeltaSeconds(text: string): number | null {
  if (text === '') return null;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    if (value < maxDeltaSeconds) value = value * 10 + digit;
  }
  return Math.min(value, maxDeltaSeconds);
}

/**
 * The Age field in seconds: its first member counts, the rest is discarded; 0 when it is absent or invalid
 * (RFC 9111 section 5.1).
 */
export function parseAge(line: string | undefined): number {
  if (line === undefined) return 0;
  const comma = line.indexOf(',');
  const first = (comma < 0 ? line : line.slice(0, comma)).trim();
  return parseDeltaSeconds(first) ?? 0;
}
