import type { Quota } from '#contract/limits.ts';

const usPerDay = 86_400_000_000;

/** The UTC day or month that holds an instant; remembers the last one, since nearly every call falls into it. */
export class UtcPeriod {
  /** Days since 1970, or months since the year 0. */
  index = 0;
  startUs = 0;
  endUs = 0;
  readonly #kind: Quota['period'];

  constructor(kind: Quota['period']) {
    this.#kind = kind;
  }

  moveTo(nowUs: number): this {
    if (nowUs >= this.startUs && nowUs < this.endUs) return this;
    const day = Math.floor(nowUs / usPerDay);
    if (this.#kind === 'day') {
      this.index = day;
      this.startUs = day * usPerDay;
      this.endUs = this.startUs + usPerDay;
    } else {
      const date = new Date(day * 86_400_000);
      const year = date.getUTCFullYear();
      const month = date.getUTCMonth();
      this.index = year * 12 + month;
      this.startUs = Date.UTC(year, month, 1) * 1000;
      this.endUs = Date.UTC(year, month + 1, 1) * 1000;
    }
    return this;
  }
}
