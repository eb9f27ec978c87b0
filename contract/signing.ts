import {
  type BareItem,
  encodeBase64,
  type InnerList,
  parseDictionary,
  serializeInnerList,
  serializeItem,
} from './structured-fields.ts';

/**
 * HTTP message signatures (RFC 9421) with content digests (RFC 9530): what is signed and how it is written. The
 * cryptography is left to the caller, so that gateway, console and clients share this one implementation.
 */

/** Times are valid this far before and after the verifier's clock. */
export const signatureWindowSeconds = 300;
export const maxNonceLength = 128;

export type SignatureAlgorithm = 'hmac-sha256' | 'ed25519';

/** What a client signs; `content-digest` only where there is a body. */
export const signedComponents = ['@method', '@authority', '@path', '@query'] as const;

/** A message as signatures see it. */
export interface SignableMessage {
  readonly method: string;
  readonly scheme: string;
  /** Host and port as in Host. */
  readonly authority: string;
  readonly path: string;
  /** Without "?"; null when there is none. */
  readonly query: string | null;
  /** Of a response; null for requests. */
  readonly status: number | null;
  /** All lines of a field (`name` in lower case), trimmed and joined by ", "; null when there is none. */
  field(name: string): string | null;
}

export interface MessageSignature {
  readonly label: string;
  /** Components and parameters, in their order. */
  readonly input: InnerList;
  readonly signature: Uint8Array;
  readonly keyId: string | null;
  readonly algorithm: string | null;
  /** Seconds since the epoch. */
  readonly created: number | null;
  readonly expires: number | null;
  readonly nonce: string | null;
  readonly tag: string | null;
}

/** The signatures of a message, from its Signature-Input and Signature fields; null when these are malformed. */
export function parseSignatures(signatureInput: string, signature: string): MessageSignature[] | null {
  const inputs = parseDictionary(signatureInput);
  const values = parseDictionary(signature);
  if (inputs === null || values === null) return null;
  const signatures: MessageSignature[] = [];
  for (const [label, input] of inputs) {
    const member = values.get(label);
    if (!('items' in input) || member === undefined || 'items' in member) return null;
    if (!(member.value instanceof Uint8Array)) return null;
    const { parameters } = input;
    for (const [name, value] of parameters) if (!isParameterValid(name, value)) return null;
    signatures.push({
      label,
      input,
      signature: member.value,
      keyId: (parameters.get('keyid') as string | undefined) ?? null,
      algorithm: (parameters.get('alg') as string | undefined) ?? null,
      created: (parameters.get('created') as number | undefined) ?? null,
      expires: (parameters.get('expires') as number | undefined) ?? null,
      nonce: (parameters.get('nonce') as string | undefined) ?? null,
      tag: (parameters.get('tag') as string | undefined) ?? null,
    });
  }
  return signatures;
}

function isParameterValid(name: string, value: BareItem): boolean {
  switch (name) {
    case 'created':
    case 'expires':
      return typeof value === 'number';
    case 'keyid':
    case 'alg':
    case 'nonce':
    case 'tag':
      return typeof value === 'string';
    default:
      return true;
  }
}

/**
 * The first component that a signature of a request has to cover and does not, or null: method, authority, path and
 * query (`@target-uri` stands for the last three) and, where there is a body, its digest.
 */
export function missingComponent(input: InnerList, hasBody: boolean): string | null {
  const covered = new Set<unknown>();
  for (const { value, parameters } of input.items) if (parameters.size === 0) covered.add(value);
  for (const name of signedComponents) {
    if (covered.has(name)) continue;
    if (name === '@method' || !covered.has('@target-uri')) return name;
  }
  return hasBody && !covered.has('content-digest') ? 'content-digest' : null;
}

/** The signature base (section 2.5), or null when the message lacks a component or one is not supported. */
export function signatureBase(message: SignableMessage, input: InnerList): string | null {
  let base = '';
  const seen = new Set<string>();
  for (const item of input.items) {
    if (typeof item.value !== 'string') return null;
    const identifier = serializeItem(item);
    if (seen.has(identifier)) return null;
    seen.add(identifier);
    const value = componentValue(message, item.value, item.parameters);
    if (value === null) return null;
    base += `${identifier}: ${value}\n`;
  }
  return `${base}"@signature-params": ${serializeInnerList(input)}`;
}

function componentValue(
  message: SignableMessage,
  name: string,
  parameters: ReadonlyMap<string, BareItem>,
): string | null {
  if (name === '@query-param') {
    const parameter = parameters.get('name');
    return parameters.size === 1 && typeof parameter === 'string' ? queryParameter(message, parameter) : null;
  }
  if (parameters.size > 0 || (message.status !== null && name.startsWith('@') && name !== '@status'))
    return null;
  switch (name) {
    case '@method':
      return message.method;
    case '@scheme':
      return message.scheme;
    case '@authority':
      return canonicalAuthority(message);
    case '@path':
      return message.path === '' ? '/' : message.path;
    case '@query':
      return `?${message.query ?? ''}`;
    case '@request-target':
      return target(message);
    case '@target-uri':
      return `${message.scheme}://${canonicalAuthority(message)}${target(message)}`;
    case '@status':
      return message.status === null ? null : String(message.status);
    default:
      return name.startsWith('@') || name !== name.toLowerCase() ? null : message.field(name);
  }
}

function target({ path, query }: SignableMessage): string {
  const from = path === '' ? '/' : path;
  return query === null ? from : `${from}?${query}`;
}

function canonicalAuthority({ authority, scheme }: SignableMessage): string {
  const name = authority.toLowerCase();
  const port = scheme === 'https' ? ':443' : ':80';
  return name.endsWith(port) ? name.slice(0, -port.length) : name;
}

/** The value of a query parameter that stands once (section 2.2.8). */
function queryParameter({ query }: SignableMessage, encodedName: string): string | null {
  let found: string | null = null;
  for (const [name, value] of new URLSearchParams(query ?? '')) {
    if (encodeQuery(name) !== encodedName) continue;
    if (found !== null) return null;
    found = encodeQuery(value);
  }
  return found;
}

function encodeQuery(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export interface SignatureParameters {
  readonly keyId: string;
  readonly algorithm: SignatureAlgorithm;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly nonce: string;
}

/** What to sign of a request, and what to write into Signature-Input for it (after the label and "="). */
export function prepareSignature(
  message: SignableMessage,
  { keyId, algorithm, created, nonce }: SignatureParameters,
): { readonly base: string; readonly input: string } {
  const names: string[] = [...signedComponents];
  if (message.field('content-digest') !== null) names.push('content-digest');
  const input: InnerList = {
    items: names.map((value) => ({ value, parameters: new Map() })),
    parameters: new Map<string, BareItem>([
      ['created', created],
      ['nonce', nonce],
      ['keyid', keyId],
      ['alg', algorithm],
    ]),
  };
  return { base: signatureBase(message, input)!, input: serializeInnerList(input) };
}

/** The value of Content-Digest for a SHA-256 of the body. */
export function formatContentDigest(sha256: Uint8Array): string {
  return `sha-256=:${encodeBase64(sha256)}:`;
}

export interface ContentDigest {
  readonly sha256: Uint8Array | null;
  readonly sha512: Uint8Array | null;
}

/** The digests that are still secure; null when there is none or the field is malformed. */
export function parseContentDigest(value: string): ContentDigest | null {
  const members = parseDictionary(value);
  if (members === null) return null;
  const bytes = (name: string): Uint8Array | null => {
    const member = members.get(name);
    return member !== undefined && 'value' in member && member.value instanceof Uint8Array
      ? member.value
      : null;
  };
  const digest = { sha256: bytes('sha-256'), sha512: bytes('sha-512') };
  return digest.sha256 === null && digest.sha512 === null ? null : digest;
}
