/**
 * Structured Field Values (RFC 9651) as far as caching needs them: Dictionaries and Lists of Items with Parameters.
 * Parsers return null for a field that fails to parse, as a whole.
 */

export class Token {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type BareItem = number | string | boolean | Token | Uint8Array | Date | Decimal;

/** A Decimal; kept apart from Integers, which are plain numbers. */
export class Decimal {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export interface Item {
  readonly value: BareItem | readonly Item[];
  readonly parameters: ReadonlyMap<string, BareItem>;
}

class ParseFailure extends Error {}

export function parseDictionary(text: string): Map<string, Item> | null {
  return attempt(text, (reader) => {
    const members = new Map<string, Item>();
    reader.skipSpaces();
    while (!reader.atEnd()) {
      const key = reader.key();
      const item = reader.accept('=')
        ? reader.itemOrInnerList()
        : { value: true, parameters: reader.parameters() };
      members.delete(key);
      members.set(key, item);
      if (!reader.nextMember()) break;
    }
    return members;
  });
}

export function parseList(text: string): Item[] | null {
  return attempt(text, (reader) => {
    const members: Item[] = [];
    reader.skipSpaces();
    while (!reader.atEnd()) {
      members.push(reader.itemOrInnerList());
      if (!reader.nextMember()) break;
    }
    return members;
  });
}

function attempt<T>(text: string, parse: (reader: Reader) => T): T | null {
  try {
    return parse(new Reader(text));
  } catch (error) {
    if (error instanceof ParseFailure) return null;
    throw error;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  accept(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  skipSpaces(): void {
    while (this.#text[this.#at] === ' ') this.#at++;
  }

  /** After a member: true when another follows, false at the end. */
  nextMember(): boolean {
    this.#skipOptionalSpace();
    if (this.atEnd()) return false;
    if (!this.accept(',')) throw new ParseFailure();
    this.#skipOptionalSpace();
    if (this.atEnd()) throw new ParseFailure();
    return true;
  }

  #skipOptionalSpace(): void {
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\t') this.#at++;
  }

  key(): string {
    return this.#match(/[a-z*][a-z0-9_.*-]*/y);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (!match) throw new ParseFailure();
    this.#at += match[0].length;
    return match[0];
  }

  itemOrInnerList(): Item {
    if (!this.accept('(')) return { value: this.#bareItem(), parameters: this.parameters() };
    const items: Item[] = [];
    for (;;) {
      this.skipSpaces();
      if (this.accept(')')) break;
      items.push({ value: this.#bareItem(), parameters: this.parameters() });
      const next = this.#text[this.#at];
      if (next !== ' ' && next !== ')') throw new ParseFailure();
    }
    return { value: items, parameters: this.parameters() };
  }

  parameters(): Map<string, BareItem> {
    const found = new Map<string, BareItem>();
    while (this.accept(';')) {
      this.skipSpaces();
      const key = this.key();
      const value = this.accept('=') ? this.#bareItem() : true;
      found.delete(key);
      found.set(key, value);
    }
    return found;
  }

  #bareItem(): BareItem {
    const first = this.#text[this.#at] ?? '';
    if (first === '"') return this.#string();
    if (first === '?') return this.#match(/\?[01]/y) === '?1';
    if (first === ':') return Buffer.from(this.#match(/:[A-Za-z0-9+/=]*:/y).slice(1, -1), 'base64');
    if (first === '@') {
      this.#at++;
      const seconds = this.#number();
      if (typeof seconds !== 'number') throw new ParseFailure();
      return new Date(seconds * 1000);
    }
    if (first === '-' || (first >= '0' && first <= '9')) return this.#number();
    return new Token(this.#match(/[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y));
  }

  #number(): number | Decimal {
    const text = this.#match(/-?\d+(?:\.\d*)?/y);
    const digits = text.startsWith('-') ? text.slice(1) : text;
    const point = digits.indexOf('.');
    if (point < 0) {
      if (digits.length > 15) throw new ParseFailure();
      return Number(text);
    }
    const fraction = digits.length - point - 1;
    if (point > 12 || fraction < 1 || fraction > 3) throw new ParseFailure();
    return new Decimal(Number(text));
  }

  #string(): string {
    let content = '';
    this.#at++;
    for (;;) {
      const char = this.#text[this.#at++];
      if (char === undefined) throw new ParseFailure();
      if (char === '"') return content;
      if (char === '\\') {
        const escaped = this.#text[this.#at++];
        if (escaped !== '"' && escaped !== '\\') throw new ParseFailure();
        content += escaped;
      } else if (char < ' ' || char > '~') throw new ParseFailure();
      else content += char;
    }
  }
}

/** A String (RFC 9651 section 4.1.6); characters outside of printable ASCII are replaced by "?". */
export function serializeString(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
