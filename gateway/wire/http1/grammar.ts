/** Character classes of RFC 9110 and RFC 3986 as tables over one byte. */

const alphaNumeric = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const unreserved = `${alphaNumeric}-._~`;
const subDelimiters = "!$&'()*+,;=";

function table(characters: string): Uint8Array {
  const made = new Uint8Array(256);
  for (let i = 0; i < characters.length; i++) made[characters.charCodeAt(i)] = 1;
  return made;
}

/** The lower-case code of a token character (RFC 9110 section 5.6.2); 0 for anything else. */
export const tokenLower: Uint8Array = new Uint8Array(256);
for (const character of `${alphaNumeric}!#$%&'*+-.^_\`|~`)
  tokenLower[character.charCodeAt(0)] = character.toLowerCase().charCodeAt(0);

/** 1 for what a field value may hold: HTAB, SP, visible ASCII, obs-text (RFC 9110 section 5.5). */
export const fieldByte: Uint8Array = new Uint8Array(256);
for (let code = 0; code < 256; code++)
  fieldByte[code] = code === 0x09 || (code >= 0x20 && code !== 0x7f) ? 1 : 0;

/** 1 for characters of a path besides "%" (RFC 3986 section 3.3). */
export const pathByte: Uint8Array = table(`${unreserved}${subDelimiters}:@/`);

/**
 * 1 for characters of a query besides "%" (RFC 3986 section 3.4), and those that the URL standard leaves unencoded
 * there, which browsers therefore send.
 */
export const queryByte: Uint8Array = table(`${unreserved}${subDelimiters}:@/?[]|\`{}^\\`);

/** 1 for characters of a registered name besides "%" (RFC 3986 section 3.2.2). */
export const hostByte: Uint8Array = table(`${unreserved}${subDelimiters}`);

/** The value of a hexadecimal digit, else 255. */
export const hexValue: Uint8Array = new Uint8Array(256).fill(255);
for (let i = 0; i < 10; i++) hexValue[0x30 + i] = i;
for (let i = 0; i < 6; i++) {
  hexValue[0x41 + i] = 10 + i;
  hexValue[0x61 + i] = 10 + i;
}

/** Whether all of a string is one token. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255 || tokenLower[code] === 0) return false;
  }
  return text.length > 0;
}
