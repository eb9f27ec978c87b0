import {
  deletedSlot,
  emptySlot,
  pageBytes,
  regionBase,
  regionLog2,
  regionWord,
  slotOf,
} from './key-table-layout.ts';
import type { PageAllocator } from './key-table-pages.ts';

const firstLog2 = 12;
const maxLoad = 0.75;

/** What the index writes through; `words` is replaced when the buffer grows. */
interface IndexMemory {
  readonly words: Int32Array;
}

/**
 * The writer's side of one open-addressing index with linear probing. Growing makes a new region, fills it and then
 * names it in the header; readers that began in the old one end in the old one.
 */
export class KeyTableIndex {
  readonly #memory: IndexMemory;
  readonly #pages: PageAllocator;
  readonly #headerWord: number;
  /** Called after another region has taken over. */
  readonly #onMove: () => void;
  #region = 0;
  #live = 0;
  /** Live and deleted slots. */
  #used = 0;

  constructor(memory: IndexMemory, pages: PageAllocator, headerWord: number, onMove: () => void) {
    this.#memory = memory;
    this.#pages = pages;
    this.#headerWord = headerWord;
    this.#onMove = onMove;
    this.#rebuild(firstLog2);
  }

  get size(): number {
    return this.#live;
  }

  /** Makes room for `count` entries at once. */
  reserve(count: number): void {
    const log2 = log2For(count);
    if (log2 > regionLog2(this.#region)) this.#rebuild(log2);
  }

  insert(tag: number, reference: number): void {
    if (this.#used + 1 > maxLoad * (1 << regionLog2(this.#region))) this.#rebuild(log2For(this.#live + 1));
    const { words } = this.#memory;
    const log2 = regionLog2(this.#region);
    const base = regionBase(this.#region);
    const mask = (1 << log2) - 1;
    let slot = slotOf(tag, log2);
    for (;;) {
      const present = words[base + 2 * slot + 1]!;
      if (present === emptySlot || present === deletedSlot) {
        if (present === emptySlot) this.#used++;
        break;
      }
      slot = (slot + 1) & mask;
    }
    words[base + 2 * slot] = tag;
    Atomics.store(words, base + 2 * slot + 1, reference);
    this.#live++;
  }

  /** Points the entry of `from` to `to`; false when there is none. */
  replace(tag: number, from: number, to: number): boolean {
    const word = this.#find(tag, from);
    if (word === 0) return false;
    Atomics.store(this.#memory.words, word, to);
    return true;
  }

  remove(tag: number, reference: number): boolean {
    const word = this.#find(tag, reference);
    if (word === 0) return false;
    Atomics.store(this.#memory.words, word, deletedSlot);
    this.#live--;
    return true;
  }

  #find(tag: number, reference: number): number {
    const { words } = this.#memory;
    const log2 = regionLog2(this.#region);
    const base = regionBase(this.#region);
    const mask = (1 << log2) - 1;
    for (let slot = slotOf(tag, log2); ; slot = (slot + 1) & mask) {
      const word = base + 2 * slot + 1;
      const present = words[word]!;
      // One record may stand under several tags.
      if (present === reference && words[word - 1] === tag) return word;
      if (present === emptySlot) return 0;
    }
  }

  #rebuild(log2: number): void {
    const old = this.#region;
    const first = this.#pages.allocate(pagesOf(log2));
    const { words } = this.#memory;
    const base = regionBase(regionWord(first, log2));
    const mask = (1 << log2) - 1;
    words.fill(0, base, base + 2 * (mask + 1));
    if (old !== 0) {
      const oldBase = regionBase(old);
      const oldEnd = oldBase + 2 * (1 << regionLog2(old));
      for (let word = oldBase; word < oldEnd; word += 2) {
        const reference = words[word + 1]!;
        if (reference === emptySlot || reference === deletedSlot) continue;
        const tag = words[word]!;
        let slot = slotOf(tag, log2);
        while (words[base + 2 * slot + 1] !== emptySlot) slot = (slot + 1) & mask;
        words[base + 2 * slot] = tag;
        words[base + 2 * slot + 1] = reference;
      }
    }
    this.#region = regionWord(first, log2);
    this.#used = this.#live;
    Atomics.store(words, this.#headerWord, this.#region);
    if (old !== 0) this.#pages.quarantine(old >>> 5, pagesOf(regionLog2(old)));
    this.#onMove();
  }
}

function pagesOf(log2: number): number {
  return Math.ceil((8 * 2 ** log2) / pageBytes);
}

/** Half full at most after a rebuild. */
function log2For(count: number): number {
  return Math.max(firstLog2, Math.ceil(Math.log2(2 * count)));
}
