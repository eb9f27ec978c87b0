import { pageBytes } from './key-table-layout.ts';

/** Thrown when the table may not grow any more. */
export class KeyTableFullError extends Error {
  override name = 'KeyTableFullError';
}

/** Hands out the pages of a growable buffer. */
export class PageAllocator {
  readonly #buffer: SharedArrayBuffer;
  readonly #onGrow: () => void;
  readonly #free: number[] = [];
  #quarantined: number[] = [];
  #next = 1;

  constructor(buffer: SharedArrayBuffer, onGrow: () => void) {
    this.#buffer = buffer;
    this.#onGrow = onGrow;
  }

  /** One past the highest page in use. */
  get end(): number {
    return this.#next;
  }

  /** The first of `count` pages in a row, all zero unless `count` is 1. */
  allocate(count: number): number {
    if (count === 1) {
      const free = this.#free.pop();
      if (free !== undefined) return free;
    }
    const first = this.#next;
    const end = (first + count) * pageBytes;
    if (end > this.#buffer.byteLength) {
      if (end > this.#buffer.maxByteLength) {
        throw new KeyTableFullError(
          `the key table has reached its maximum of ${this.#buffer.maxByteLength} bytes`,
        );
      }
      this.#buffer.grow(Math.min(this.#buffer.maxByteLength, end + growthPages * pageBytes));
      this.#onGrow();
    }
    this.#next = first + count;
    return first;
  }

  /** Keeps pages back until `takeQuarantined` and `release`: readers may still look at them. */
  quarantine(first: number, count: number): void {
    for (let page = first; page < first + count; page++) this.#quarantined.push(page);
  }

  get hasQuarantined(): boolean {
    return this.#quarantined.length > 0;
  }

  /** The pages quarantined so far; they are the caller's to `release` when no reader can see them any more. */
  takeQuarantined(): number[] {
    const pages = this.#quarantined;
    this.#quarantined = [];
    return pages;
  }

  release(pages: readonly number[]): void {
    for (const page of pages) this.#free.push(page);
  }
}

/** Growing sets aside address space only; a page takes memory when it is first written. */
const growthPages = 16;
