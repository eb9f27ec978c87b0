import type { RedisLink } from './redis-link.ts';

const key = 'tg:{gateways}';
const beatMs = 5000;
const aliveMs = 16_000;

/** Counts the gateways that share the ledger: each says every few seconds that it is alive. */
export class Census {
  /** As last counted, this gateway included. */
  live = 1;
  readonly #link: RedisLink;
  readonly #id: string;
  readonly #timer: NodeJS.Timeout;

  constructor(link: RedisLink, id: string) {
    this.#link = link;
    this.#id = id;
    this.#timer = setInterval(() => void this.beat(), beatMs);
    this.#timer.unref();
  }

  async beat(): Promise<void> {
    if (!this.#link.isConnected()) return;
    const now = Date.now();
    try {
      await this.#link.command('ZADD', key, String(now + aliveMs), this.#id);
      await this.#link.command('ZREMRANGEBYSCORE', key, '-inf', String(now));
      const live = Number(await this.#link.command('ZCARD', key));
      await this.#link.command('PEXPIRE', key, '60000');
      if (live > 0) this.live = live;
    } catch {
      // The last count stands.
    }
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#link.isConnected()) await this.#link.command('ZREM', key, this.#id).catch(() => undefined);
  }
}
