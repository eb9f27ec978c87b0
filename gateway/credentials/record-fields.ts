/**
 * Fields of packed records. A text is one of: a UUID in 16 bytes, an id of three letters and 24 hexadecimal digits
 * (`app_5f2c…`) in 15, the number of an interned text, or UTF-8.
 */

const textTags = { uuid: 0, interned: 1, long: 2, prefixed: 3 } as const;
const shortTag = 8;
const maxShort = 255 - shortTag;
const prefixedPattern = /^[a-z]{3}_[0-9a-f]{24}$/;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export class RecordEncoder {
  #buffer = Buffer.alloc(4096);
  #length = 0;

  reset(): void {
    this.#length = 0;
  }

  /** What has been written; valid until the next `reset`. */
  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  u8(value: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = value;
  }

  u16(value: number): void {
    this.u8(value & 0xff);
    this.u8(value >>> 8);
  }

  u32(value: number): void {
    this.u16(value & 0xffff);
    this.u16(value >>> 16);
  }

  f64(value: number): void {
    this.#room(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  u48(value: number): void {
    this.#room(6);
    this.#length = this.#buffer.writeUIntLE(value, this.#length, 6);
  }

  hex(text: string, bytes: number): void {
    this.#room(bytes);
    this.#length += this.#buffer.write(text, this.#length, 'hex');
  }

  /** Up to 65,535 bytes, with their length. */
  block(bytes: Uint8Array): void {
    this.u16(bytes.length);
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** `intern` gives a text its number where many records share it, or null when it takes no more. */
  text(value: string, intern: ((text: string) => number | null) | null): void {
    if (value.length === 36 && uuidPattern.test(value)) {
      this.u8(textTags.uuid);
      this.hex(value.replaceAll('-', ''), 16);
      return;
    }
    if (value.length === 28 && prefixedPattern.test(value)) {
      this.u8(textTags.prefixed);
      for (let i = 0; i < 3; i++) this.u8(value.charCodeAt(i));
      this.hex(value.slice(4), 12);
      return;
    }
    const number = intern === null ? null : intern(value);
    if (number !== null) {
      this.u8(textTags.interned);
      this.u32(number);
      return;
    }
    const length = Buffer.byteLength(value);
    if (length <= maxShort) this.u8(shortTag + length);
    else {
      this.u8(textTags.long);
      this.u32(length);
    }
    this.#room(length);
    this.#length += this.#buffer.write(value, this.#length, 'utf8');
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(2 * this.#buffer.length, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

export class RecordDecoder {
  readonly #bytes: Buffer;
  readonly #end: number;
  at: number;

  constructor(bytes: Buffer, from: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    this.at = from;
  }

  u8(): number {
    if (this.at >= this.#end) throw new RangeError('a packed record is too short');
    return this.#bytes[this.at++]!;
  }

  u16(): number {
    return this.u8() | (this.u8() << 8);
  }

  u32(): number {
    return (this.u16() | (this.u16() << 16)) >>> 0;
  }

  f64(): number {
    const value = this.#bytes.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  u48(): number {
    return this.#bytes.readUIntLE(this.#skip(6) - 6, 6);
  }

  base64(): string {
    const length = this.u16();
    return this.#bytes.toString('base64', this.at, this.#skip(length));
  }

  text(interned: (number: number) => string): string {
    const tag = this.u8();
    if (tag === textTags.interned) return interned(this.u32());
    if (tag === textTags.uuid) {
      const hex = this.#bytes.toString('hex', this.at, this.#skip(16));
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    }
    if (tag === textTags.prefixed) {
      const prefix = this.#bytes.toString('latin1', this.at, this.#skip(3));
      return `${prefix}_${this.#bytes.toString('hex', this.at, this.#skip(12))}`;
    }
    const length = tag >= shortTag ? tag - shortTag : this.u32();
    return this.#bytes.toString('utf8', this.at, this.#skip(length));
  }

  /** Steps over `length` bytes and returns where they end. */
  #skip(length: number): number {
    if (this.at + length > this.#end) throw new RangeError('a packed record is too short');
    this.at += length;
    return this.at;
  }
}
