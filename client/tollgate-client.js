// Made from contract/structured-fields.ts, contract/signing.ts, client/index.ts by client/build.ts.

/**
 * Structured Field Values (RFC 8941) as far as signatures and caching need them: dictionaries and lists of items and
 * inner lists. Runs in
 * browsers too.
 */

/** A token, to be told from a string. */
class Token {
  text;
  constructor(text) {
    this.text = text;
  }
}

/** A number written with a fraction, to be told from an integer. */
class Decimal {
  value;
  constructor(value) {
    this.value = value;
  }
}

class Malformed extends Error {}

const keyStart = setOf(/[a-z*]/);
const keyRest = setOf(/[a-z0-9_.*-]/);
const tokenStart = setOf(/[A-Za-z*]/);
const tokenRest = setOf(/[!#$%&'*+.^_`|~0-9A-Za-z:/-]/);
const none = new Map();

/** Which ASCII characters a class has, by code. */
function setOf(characters) {
  return Uint8Array.from({ length: 128 }, (_, code) => (characters.test(String.fromCharCode(code)) ? 1 : 0));
}

/** Parses a dictionary; null when it is malformed. Of members with one key the last counts. */
function parseDictionary(text) {
  return attempt(() => new Reader(text).dictionary());
}

/** Parses a list; null when it is malformed. */
function parseList(text) {
  return attempt(() => new Reader(text).list());
}

function attempt(parse) {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

class Reader {
  #text;
  #at = 0;

  constructor(text) {
    this.#text = text;
  }

  dictionary() {
    const members = new Map();
    this.#skip(' ');
    while (this.#at < this.#text.length) {
      const key = this.#key();
      const member = this.#take('=') ? this.#member() : { value: true, parameters: this.#parameters() };
      members.delete(key);
      members.set(key, member);
      if (!this.#nextMember()) break;
    }
    return members;
  }

  list() {
    const members = [];
    this.#skip(' ');
    while (this.#at < this.#text.length) {
      members.push(this.#member());
      if (!this.#nextMember()) break;
    }
    return members;
  }

  #member() {
    return this.#peek() === '(' ? this.#innerList() : this.#item();
  }

  /** After a member: whether another follows. */
  #nextMember() {
    this.#skip(' \t');
    if (this.#at === this.#text.length) return false;
    if (!this.#take(',')) throw new Malformed();
    this.#skip(' \t');
    if (this.#at === this.#text.length) throw new Malformed();
    return true;
  }

  #innerList() {
    this.#take('(');
    const items = [];
    for (;;) {
      this.#skip(' ');
      if (this.#take(')')) return { items, parameters: this.#parameters() };
      items.push(this.#item());
      const next = this.#peek();
      if (next !== ' ' && next !== ')') throw new Malformed();
    }
  }

  #item() {
    return { value: this.#bareItem(), parameters: this.#parameters() };
  }

  #parameters() {
    if (this.#peek() !== ';') return none;
    const parameters = new Map();
    while (this.#take(';')) {
      this.#skip(' ');
      const key = this.#key();
      const value = this.#take('=') ? this.#bareItem() : true;
      parameters.delete(key);
      parameters.set(key, value);
    }
    return parameters;
  }

  #bareItem() {
    const first = this.#peek();
    if (first === '"') return this.#string();
    if (first === ':') return this.#bytes();
    if (first === '?') return this.#boolean();
    if (first === '-' || (first >= '0' && first <= '9')) return this.#number();
    if (tokenStart[first.charCodeAt(0)] === 1) return new Token(this.#while(tokenRest));
    throw new Malformed();
  }

  #string() {
    this.#take('"');
    const text = this.#text;
    let result = '';
    let start = this.#at;
    for (let i = start; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code === 0x22) {
        this.#at = i + 1;
        return result + text.slice(start, i);
      }
      if (code === 0x5c) {
        result += text.slice(start, i);
        start = ++i;
        const escaped = text.charCodeAt(i);
        if (escaped !== 0x22 && escaped !== 0x5c) throw new Malformed();
      } else if (code < 0x20 || code > 0x7e) throw new Malformed();
    }
    throw new Malformed();
  }

  #bytes() {
    this.#take(':');
    const end = this.#text.indexOf(':', this.#at);
    if (end < 0) throw new Malformed();
    const bytes = decodeBase64(this.#text.slice(this.#at, end));
    if (bytes === null) throw new Malformed();
    this.#at = end + 1;
    return bytes;
  }

  #boolean() {
    this.#take('?');
    if (this.#take('1')) return true;
    if (this.#take('0')) return false;
    throw new Malformed();
  }

  #number() {
    const match = /^-?(\d{1,15})(?:\.(\d{1,3}))?(?![\d.])/.exec(this.#text.slice(this.#at, this.#at + 20));
    if (!match || (match[2] !== undefined && match[1].length > 12)) throw new Malformed();
    this.#at += match[0].length;
    return match[2] === undefined ? Number(match[0]) : new Decimal(Number(match[0]));
  }

  #key() {
    if (keyStart[this.#peek().charCodeAt(0)] !== 1) throw new Malformed();
    return this.#while(keyRest);
  }

  #while(chars) {
    const start = this.#at++;
    while (this.#at < this.#text.length && chars[this.#text.charCodeAt(this.#at)] === 1) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  #peek() {
    return this.#text[this.#at] ?? '';
  }

  #take(char) {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #skip(chars) {
    while (this.#at < this.#text.length && chars.includes(this.#text[this.#at])) this.#at++;
  }
}

function serializeInnerList({ items, parameters }) {
  return `(${items.map(serializeItem).join(' ')})${serializeParameters(parameters)}`;
}

function serializeItem({ value, parameters }) {
  return serializeBare(value) + serializeParameters(parameters);
}

function serializeParameters(parameters) {
  let text = '';
  for (const [key, value] of parameters)
    text += value === true ? `;${key}` : `;${key}=${serializeBare(value)}`;
  return text;
}

function serializeBare(value) {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') {
    return value.includes('"') || value.includes('\\')
      ? `"${value.replace(/["\\]/g, '\\$&')}"`
      : `"${value}"`;
  }
  if (typeof value === 'boolean') return value ? '?1' : '?0';
  if (value instanceof Token) return value.text;
  if (value instanceof Decimal)
    return Number.isInteger(value.value) ? `${value.value}.0` : String(value.value);
  return `:${encodeBase64(value)}:`;
}

function encodeBase64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Null when `text` is not base64; missing padding is forgiven. */
function decodeBase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  try {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  } catch {
    return null;
  }
}

/**
 * HTTP message signatures (RFC 9421) with content digests (RFC 9530): what is signed and how it is written. The
 * cryptography is left to the caller, so that gateway, console and clients share this one implementation.
 */

/** Times are valid this far before and after the verifier's clock. */
const signatureWindowSeconds = 300;
const maxNonceLength = 128;

/** What a client signs; `content-digest` only where there is a body. */
const signedComponents = ['@method', '@authority', '@path', '@query'];

/** A message as signatures see it. */

/** The signatures of a message, from its Signature-Input and Signature fields; null when these are malformed. */
function parseSignatures(signatureInput, signature) {
  const inputs = parseDictionary(signatureInput);
  const values = parseDictionary(signature);
  if (inputs === null || values === null) return null;
  const signatures = [];
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
      keyId: parameters.get('keyid') ?? null,
      algorithm: parameters.get('alg') ?? null,
      created: parameters.get('created') ?? null,
      expires: parameters.get('expires') ?? null,
      nonce: parameters.get('nonce') ?? null,
      tag: parameters.get('tag') ?? null,
    });
  }
  return signatures;
}

function isParameterValid(name, value) {
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
function missingComponent(input, hasBody) {
  const covered = new Set();
  for (const { value, parameters } of input.items) if (parameters.size === 0) covered.add(value);
  for (const name of signedComponents) {
    if (covered.has(name)) continue;
    if (name === '@method' || !covered.has('@target-uri')) return name;
  }
  return hasBody && !covered.has('content-digest') ? 'content-digest' : null;
}

/** The signature base (section 2.5), or null when the message lacks a component or one is not supported. */
function signatureBase(message, input) {
  let base = '';
  const seen = new Set();
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

function componentValue(message, name, parameters) {
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

function target({ path, query }) {
  const from = path === '' ? '/' : path;
  return query === null ? from : `${from}?${query}`;
}

function canonicalAuthority({ authority, scheme }) {
  const name = authority.toLowerCase();
  const port = scheme === 'https' ? ':443' : ':80';
  return name.endsWith(port) ? name.slice(0, -port.length) : name;
}

/** The value of a query parameter that stands once (section 2.2.8). */
function queryParameter({ query }, encodedName) {
  let found = null;
  for (const [name, value] of new URLSearchParams(query ?? '')) {
    if (encodeQuery(name) !== encodedName) continue;
    if (found !== null) return null;
    found = encodeQuery(value);
  }
  return found;
}

function encodeQuery(text) {
  return encodeURIComponent(text).replace(
    /[!'()~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** What to sign of a request, and what to write into Signature-Input for it (after the label and "="). */
function prepareSignature(message, { keyId, algorithm, created, nonce }) {
  const names = [...signedComponents];
  if (message.field('content-digest') !== null) names.push('content-digest');
  const input = {
    items: names.map((value) => ({ value, parameters: new Map() })),
    parameters: new Map([
      ['created', created],
      ['nonce', nonce],
      ['keyid', keyId],
      ['alg', algorithm],
    ]),
  };
  return { base: signatureBase(message, input), input: serializeInnerList(input) };
}

/** The value of Content-Digest for a SHA-256 of the body. */
function formatContentDigest(sha256) {
  return `sha-256=:${encodeBase64(sha256)}:`;
}

/** The digests that are still secure; null when there is none or the field is malformed. */
function parseContentDigest(value) {
  const members = parseDictionary(value);
  if (members === null) return null;
  const bytes = (name) => {
    const member = members.get(name);
    return member !== undefined && 'value' in member && member.value instanceof Uint8Array
      ? member.value
      : null;
  };
  const digest = { sha256: bytes('sha-256'), sha512: bytes('sha-512') };
  return digest.sha256 === null && digest.sha512 === null ? null : digest;
}

/** A key that signs: the secret of an `api_key` key, or the private key whose public half is registered (Ed25519). */

/** A request for which `signatureHeaders` makes the fields. */

/**
 * Signs a request as RFC 9421 says: a copy with Content-Digest (where there is a body), Signature-Input and Signature.
 * Each copy is good for one sending within 300 seconds. Needs Web Crypto, which Node, browsers and workers have.
 */
export async function sign(request, key, options = {}) {
  const body = request.body === null ? null : await request.clone().arrayBuffer();
  const { method, url } = request;
  const fields = await signatureHeaders({ method, url, body }, key, options);
  const headers = new Headers(request.headers);
  for (const [name, value] of Object.entries(fields)) headers.set(name, value);
  return new Request(request, body === null ? { headers } : { headers, body });
}

/** The fields that sign a request, for HTTP libraries without Request objects. */
export async function signatureHeaders({ method, url, body }, key, options = {}) {
  const headers = {};
  const bytes = toBytes(body ?? '');
  if (bytes.length > 0) {
    const digest = await crypto.subtle.digest('SHA-256', bytes);
    headers['Content-Digest'] = formatContentDigest(new Uint8Array(digest));
  }
  const algorithm = 'secret' in key ? 'hmac-sha256' : 'ed25519';
  const { base, input } = prepareSignature(messageOf(method, url, headers['Content-Digest'] ?? null), {
    keyId: key.keyId,
    algorithm,
    created: Math.floor((options.nowMs ?? Date.now()) / 1000),
    nonce: options.nonce ?? encodeBase64(crypto.getRandomValues(new Uint8Array(16))),
  });
  const signature = await makeSignature(toBytes(base), key);
  headers['Signature-Input'] = `sig=${input}`;
  headers.Signature = `sig=:${encodeBase64(signature)}:`;
  return headers;
}

/** The simple way: the value of X-API-Key, `<key_id>:<hex HMAC-SHA256(secret, body)>`. It does not expire. */
export async function apiKeyHeader(body, key) {
  const signature = await makeSignature(toBytes(body ?? ''), key);
  return `${key.keyId}:${Array.from(signature, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

function messageOf(method, url, contentDigest) {
  const { protocol, host, pathname, search } = new URL(url);
  return {
    method,
    scheme: protocol.slice(0, -1),
    authority: host,
    path: pathname,
    query: search === '' ? null : search.slice(1),
    status: null,
    field: (name) => (name === 'content-digest' ? contentDigest : null),
  };
}

async function makeSignature(data, key) {
  if ('privateKey' in key) return new Uint8Array(await crypto.subtle.sign('Ed25519', key.privateKey, data));
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const secret = await crypto.subtle.importKey('raw', toBytes(key.secret), algorithm, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', secret, data));
}

function toBytes(data) {
  if (typeof data === 'string') return new TextEncoder().encode(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data);
}
