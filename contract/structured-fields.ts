/**
 * Structured Field Values (RFC 8941) as far as signatures and caching need them: dictionaries and lists of items and
 * inner lists. Runs in
 * browsers too.
 */

/** A token, to be told from a string. */
export class Token {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A number written with a fraction, to be told from an integer. */
export class Decimal {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export type BareItem = number | Decimal | string | boolean | Token | Uint8Array;
export type Parameters = ReadonlyMap<string, BareItem>;
export interface Item {
  readonly value: BareItem;
  readonly parameters: Parameters;
}
export interface InnerList {
  readonly items: readonly Item[];
  readonly parameters: Parameters;
}
export type Member = Item | InnerList;

class Malformed extends Error {}

const keyStart = setOf(/[a-z*]/);
const keyRest = setOf(/[a-z0-9_.*-]/);
const tokenStart = setOf(/[A-Za-z*]/);
const tokenRest = setOf(/[!#$%&'*+.^_`|~0-9A-Za-z:/-]/);
const none: Parameters = new Map();

/** Which ASCII characters a class has, by code. */
function setOf(characters: RegExp): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, code) => (characters.test(String.fromCharCode(code)) ? 1 : 0));
}

/** Parses a dictionary; null when it is malformed. Of members with one key the last counts. */
export function parseDictionary(text: string): ReadonlyMap<string, Member> | null {
  return attempt(() => new Reader(text).dictionary());
}

/** Parses a list; null when it is malformed. */
export function parseList(text: string): readonly Member[] | null {
  return attempt(() => new Reader(text).list());
}

function attempt<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  dictionary(): Map<string, Member> {
    const members = new Map<string, Member>();
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

  list(): Member[] {
    const members: Member[] = [];
    this.#skip(' ');
    while (this.#at < this.#text.length) {
      members.push(this.#member());
      if (!this.#nextMember()) break;
    }
    return members;
  }

  #member(): Member {
    return this.#peek() === '(' ? this.#innerList() : this.#item();
  }

  /** After a member: whether another follows. */
  #nextMember(): boolean {
    this.#skip(' \t');
    if (this.#at === this.#text.length) return false;
    if (!this.#take(',')) throw new Malformed();
    this.#skip(' \t');
    if (this.#at === this.#text.length) throw new Malformed();
    return true;
  }

  #innerList(): InnerList {
    this.#take('(');
    const items: Item[] = [];
    for (;;) {
      this.#skip(' ');
      if (this.#take(')')) return { items, parameters: this.#parameters() };
      items.push(this.#item());
      const next = this.#peek();
      if (next !== ' ' && next !== ')') throw new Malformed();
    }
  }

  #item(): Item {
    return { value: this.#bareItem(), parameters: this.#parameters() };
  }

  #parameters(): Parameters {
    if (this.#peek() !== ';') return none;
    const parameters = new Map<string, BareItem>();
    while (this.#take(';')) {
      this.#skip(' ');
      const key = this.#key();
      const value = this.#take('=') ? this.#bareItem() : true;
      parameters.delete(key);
      parameters.set(key, value);
    }
    return parameters;
  }

  #bareItem(): BareItem {
    const first = this.#peek();
    if (first === '"') return this.#string();
    if (first === ':') return this.#bytes();
    if (first === '?') return this.#boolean();
    if (first === '-' || (first >= '0' && first <= '9')) return this.#number();
    if (tokenStart[first.charCodeAt(0)] === 1) return new Token(this.#while(tokenRest));
    throw new Malformed();
  }

  #string(): string {
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

  #bytes(): Uint8Array {
    this.#take(':');
    const end = this.#text.indexOf(':', this.#at);
    if (end < 0) throw new Malformed();
    const bytes = decodeBase64(this.#text.slice(this.#at, end));
    if (bytes === null) throw new Malformed();
    this.#at = end + 1;
    return bytes;
  }

  #boolean(): boolean {
    this.#take('?');
    if (this.#take('1')) return true;
    if (this.#take('0')) return false;
    throw new Malformed();
  }

  #number(): number | Decimal {
    const match = /^-?(\d{1,15})(?:\.(\d{1,3}))?(?![\d.])/.exec(this.#text.slice(this.#at, this.#at + 20));
    if (!match || (match[2] !== undefined && match[1]!.length > 12)) throw new Malformed();
    this.#at += match[0].length;
    return match[2] === undefined ? Number(match[0]) : new Decimal(Number(match[0]));
  }

  #key(): string {
    if (keyStart[this.#peek().charCodeAt(0)] !== 1) throw new Malformed();
    return this.#while(keyRest);
  }

  #while(chars: Uint8Array): string {
    const start = this.#at++;
    while (this.#at < this.#text.length && chars[this.#text.charCodeAt(this.#at)] === 1) this.#at++;
    return this.#text.slice(start, this.#at);
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #skip(chars: string): void {
    while (this.#at < this.#text.length && chars.includes(this.#text[this.#at]!)) this.#at++;
  }
}

export function serializeInnerList({ items, parameters }: InnerList): string {
  return `(${items.map(serializeItem).join(' ')})${serializeParameters(parameters)}`;
}

export function serializeItem({ value, parameters }: Item): string {
  return serializeBare(value) + serializeParameters(parameters);
}

export function serializeParameters(parameters: Parameters): string {
  let text = '';
  for (const [key, value] of parameters)
    text += value === true ? `;${key}` : `;${key}=${serializeBare(value)}`;
  return text;
}

export function serializeBare(value: BareItem): string {
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

export function encodeBase64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Null when `text` is not base64; missing padding is forgiven. */
export function decodeBase64(text: string): Uint8Array | null {
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
