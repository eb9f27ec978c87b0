import { isIPv6 } from 'node:net';
import { hexValue, hostByte } from './grammar.ts';

const COLON = 0x3a;
const PERCENT = 0x25;

/**
 * A Host value, or the authority of an absolute-form target, in lower case: uri-host [":" port] (RFC 9110 section
 * 7.2, RFC 3986 section 3.2). Null when it is not one; user information, an empty host or port and a port above
 * 65535 are refused too.
 */
export function parseAuthority(text: string): string | null {
  const length = text.length;
  if (length === 0 || length > 255 + 6) return null;
  let at = 0;
  if (text.charCodeAt(0) === 0x5b) {
    const close = text.indexOf(']');
    if (close < 0 || !isIPv6(text.slice(1, close)) || text.includes('%')) return null;
    at = close + 1;
  } else {
    for (; at < length; at++) {
      const code = text.charCodeAt(at);
      if (hostByte[code] === 1) continue;
      if (code !== PERCENT) break;
      if (hexValue[text.charCodeAt(at + 1)]! > 15 || hexValue[text.charCodeAt(at + 2)]! > 15) return null;
      if (at + 2 >= length) return null;
      at += 2;
    }
    if (at === 0 || at > 255) return null;
  }
  if (at < length && (text.charCodeAt(at) !== COLON || !isPort(text, at + 1))) return null;
  return text.toLowerCase();
}

function isPort(text: string, start: number): boolean {
  if (start === text.length || text.length - start > 5) return false;
  let port = 0;
  for (let at = start; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65535;
}
