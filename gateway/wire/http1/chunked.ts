import type { RequestFault } from './faults.ts';
import { type Cursor, readFields } from './fields.ts';
import { fieldByte, hexValue, tokenLower } from './grammar.ts';

const nothing = Buffer.alloc(0);

const HTAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const QUOTE = 0x22;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

const maxExtensionBytes = 1024;
const maxSizeDigits = 16;
const maxTrailerBytes = 8192;
const maxTrailers = 32;

/** Fields that change framing, routing or what the receiver has already decided (RFC 9110 section 6.5.1). */
const forbiddenTrailers = new Set(
  (
    'transfer-encoding content-length host connection keep-alive proxy-connection te trailer upgrade expect ' +
    'authorization proxy-authorization cookie set-cookie cache-control max-forwards content-encoding ' +
    'content-type content-range range x-api-key'
  ).split(' '),
);

/** `data`: body bytes stand at `dataStart` to `dataEnd`; `partial`: all of the input has been read. */
export type ChunkReading = 'data' | 'end' | 'partial' | RequestFault;

type State =
  | 'size_first'
  | 'size'
  | 'after_size'
  | 'extension_start'
  | 'extension_name'
  | 'after_name'
  | 'value_start'
  | 'value_token'
  | 'quoted'
  | 'quoted_pair'
  | 'quoted_end'
  | 'after_value'
  | 'size_lf'
  | 'data'
  | 'data_cr'
  | 'data_lf'
  | 'trailers';

/**
 * Decodes the chunked coding (RFC 9112 section 7.1) to the letter, from pieces split anywhere. `read` until it answers
 * something else than `data`. Extensions are checked and dropped; they are bounded in all, as trailers are.
 */
export class ChunkedDecoder implements Cursor {
  bytes: Buffer = nothing;
  base = 0;
  text = '';
  position = 0;
  dataStart = 0;
  dataEnd = 0;
  /** The offset behind what has been read; after `end`, where the next message begins. */
  offset = 0;
  /** Flat, once `end` has come; null when there are none. */
  trailers: string[] | null = null;
  readonly #fields: string[] = [];
  #state: State = 'size_first';
  #remaining = 0;
  #digits = 0;
  #extensionBytes = 0;

  read(chunk: Buffer, start: number, end: number): ChunkReading {
    let at = start;
    while (at < end) {
      if (this.#state === 'data') {
        const available = end - at;
        const size = Math.min(available, this.#remaining);
        this.dataStart = at;
        this.dataEnd = at + size;
        this.#remaining -= size;
        if (this.#remaining === 0) this.#state = 'data_cr';
        this.offset = at + size;
        return 'data';
      }
      if (this.#state === 'trailers') return this.#readTrailers(chunk, at, end);
      const fault = this.#step(chunk[at]!);
      if (fault !== null) return fault;
      at++;
    }
    this.offset = end;
    return 'partial';
  }

  #step(code: number): RequestFault | null {
    switch (this.#state) {
      case 'size_first':
        this.#remaining = 0;
        this.#digits = 0;
        if (hexValue[code]! > 15) return 'chunk_size';
        this.#state = 'size';
        return this.#addDigit(code);
      case 'size':
        if (hexValue[code]! < 16) return this.#addDigit(code);
        return this.#endPart(code, 'after_size', 'chunk_size');
      case 'after_size':
      case 'after_value':
        // White space here is only allowed in front of a further extension.
        if (code === SP || code === HTAB) return this.#countExtension();
        return this.#endExtension(code);
      case 'data_cr':
        if (code !== CR) return 'chunk_end';
        this.#state = 'data_lf';
        return null;
      case 'data_lf':
        if (code !== LF) return 'chunk_end';
        this.#state = 'size_first';
        return null;
      case 'size_lf':
        if (code !== LF) return 'bare_cr';
        this.#state = this.#remaining === 0 ? 'trailers' : 'data';
        return null;
      default:
        return this.#countExtension() ?? this.#stepExtension(code);
    }
  }

  #addDigit(code: number): RequestFault | null {
    if (++this.#digits > maxSizeDigits) return 'chunk_size';
    this.#remaining = this.#remaining * 16 + hexValue[code]!;
    return this.#remaining > Number.MAX_SAFE_INTEGER ? 'chunk_size' : null;
  }

  #countExtension(): RequestFault | null {
    return ++this.#extensionBytes > maxExtensionBytes ? 'chunk_extension_too_long' : null;
  }

  #endPart(code: number, whiteSpace: State, fault: RequestFault): RequestFault | null {
    if (code === CR) this.#state = 'size_lf';
    else if (code === SEMICOLON) this.#state = 'extension_start';
    else if (code === SP || code === HTAB) this.#state = whiteSpace;
    else return code === LF ? 'bare_lf' : fault;
    return null;
  }

  #endExtension(code: number): RequestFault | null {
    if (code === SEMICOLON) {
      this.#state = 'extension_start';
      return null;
    }
    return code === LF ? 'bare_lf' : 'chunk_extension';
  }

  #stepExtension(code: number): RequestFault | null {
    const blank = code === SP || code === HTAB;
    const token = tokenLower[code] !== 0;
    switch (this.#state) {
      case 'extension_start':
        if (blank) return null;
        if (!token) return code === LF ? 'bare_lf' : 'chunk_extension';
        this.#state = 'extension_name';
        return null;
      case 'extension_name':
        if (token) return null;
        if (code === EQUALS) this.#state = 'value_start';
        else return this.#endPart(code, 'after_name', 'chunk_extension');
        return null;
      case 'after_name':
        if (blank) return null;
        if (code !== EQUALS) return this.#endExtension(code);
        this.#state = 'value_start';
        return null;
      case 'value_start':
        if (blank) return null;
        if (code === QUOTE) this.#state = 'quoted';
        else if (token) this.#state = 'value_token';
        else return code === LF ? 'bare_lf' : 'chunk_extension';
        return null;
      case 'value_token':
        return token ? null : this.#endPart(code, 'after_value', 'chunk_extension');
      case 'quoted':
        if (code === BACKSLASH) this.#state = 'quoted_pair';
        else if (code === QUOTE) this.#state = 'quoted_end';
        else if (fieldByte[code] === 0) return 'chunk_extension';
        return null;
      case 'quoted_end':
        return this.#endPart(code, 'after_value', 'chunk_extension');
      default:
        this.#state = 'quoted';
        return fieldByte[code] === 0 ? 'chunk_extension' : null;
    }
  }

  #readTrailers(chunk: Buffer, start: number, end: number): ChunkReading {
    const before = this.text.length;
    const room = maxTrailerBytes - before;
    const to = end - start > room ? start + room : end;
    this.bytes =
      before === 0
        ? Buffer.from(chunk.subarray(start, to))
        : Buffer.concat([this.bytes, chunk.subarray(start, to)]);
    this.text = this.bytes.toString('latin1');
    const reading = readFields(this, this.#fields, maxTrailers);
    if (reading === 'partial') {
      this.offset = to;
      return this.text.length >= maxTrailerBytes ? 'head_too_large' : 'partial';
    }
    if (reading !== 'complete') return reading;
    this.offset = start + this.position - before;
    this.text = '';
    for (let i = 0; i < this.#fields.length; i += 2)
      if (forbiddenTrailers.has(this.#fields[i]!)) return 'trailer_forbidden';
    this.trailers = this.#fields.length > 0 ? this.#fields : null;
    return 'end';
  }
}
