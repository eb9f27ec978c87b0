import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { constants, createGzip, type Gzip } from 'node:zlib';
import type { FastifyBaseLogger } from 'fastify';
import type { Database } from '../database/database.ts';
import type { Follower, RegistryFeed } from './feed.ts';
import { type DeltaText, readDelta, sendSnapshot } from './read.ts';

/** A gateway that leaves this much unread is cut off; it resumes from its revision. */
const maxBacklogBytes = 64 << 20;

/** The registry stream to one gateway: what it lacks first, then every delta as it happens, and pings. */
export class RegistryStream implements Follower {
  revision: number;
  readonly #db: Database;
  readonly #feed: RegistryFeed;
  readonly #log: FastifyBaseLogger;
  readonly #response: ServerResponse;
  readonly #gzip: Gzip | null;
  #needsSnapshot: boolean;
  #catchingUp = false;
  /** Lines that wait until the gateway has caught up. */
  readonly #notes: string[] = [];
  #closed = false;

  /** `from` null: the gateway has nothing. The head of the response must have been written. */
  constructor(
    parts: { db: Database; feed: RegistryFeed; log: FastifyBaseLogger },
    response: ServerResponse,
    from: number | null,
    gzip: boolean,
  ) {
    this.#db = parts.db;
    this.#feed = parts.feed;
    this.#log = parts.log;
    this.#response = response;
    this.revision = from ?? 0;
    this.#needsSnapshot = from === null;
    this.#gzip = gzip ? createGzip({ level: constants.Z_BEST_SPEED }) : null;
    this.#gzip?.pipe(response);
    response.on('close', () => this.close());
    response.on('error', () => this.close());
    this.resync();
  }

  push(delta: DeltaText): void {
    this.revision = delta.revision;
    this.#send(`${delta.line}\n`);
  }

  resync(): void {
    if (this.#catchingUp || this.#closed) return;
    this.#catchingUp = true;
    this.#catchUp()
      .catch((error: unknown) => {
        if (!this.#closed) this.#log.error({ err: error }, 'registry stream failed');
        this.close();
      })
      .finally(() => {
        this.#catchingUp = false;
        for (const line of this.#notes.splice(0)) this.#send(line);
      });
  }

  /** Sends a line that is not part of the registry's history. */
  note(line: string): void {
    if (this.#catchingUp) this.#notes.push(line);
    else this.#send(line);
  }

  ping(): void {
    if (!this.#catchingUp) this.#send(`{"type":"ping","revision":${this.revision}}\n`);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#feed.leave(this);
    this.#gzip?.destroy();
    this.#response.destroy();
  }

  async #catchUp(): Promise<void> {
    while (!this.#closed) {
      if (this.#needsSnapshot) {
        this.revision = await sendSnapshot(this.#db, (text) => this.#write(text));
        this.#needsSnapshot = false;
        this.#gzip?.flush(constants.Z_SYNC_FLUSH);
      }
      if (this.#feed.join(this)) return;
      const delta = await readDelta(this.#db, this.revision);
      if (delta === 'snapshot') this.#needsSnapshot = true;
      else if (delta === null) await this.#feed.settle();
      else {
        await this.#write(`${delta.line}\n`);
        this.revision = delta.revision;
        this.#gzip?.flush(constants.Z_SYNC_FLUSH);
      }
    }
  }

  /** Writes with backpressure. */
  async #write(text: string): Promise<void> {
    if (this.#closed) throw new Error('the gateway has left');
    const sink = this.#gzip ?? this.#response;
    if (sink.write(text)) return;
    const leaving = new AbortController();
    await Promise.race([
      once(sink, 'drain', { signal: leaving.signal }),
      once(this.#response, 'close', { signal: leaving.signal }),
    ]).finally(() => leaving.abort());
  }

  #send(text: string): void {
    if (this.#closed) return;
    const sink = this.#gzip ?? this.#response;
    sink.write(text);
    this.#gzip?.flush(constants.Z_SYNC_FLUSH);
    if (sink.writableLength + this.#response.writableLength > maxBacklogBytes) {
      this.#log.warn({ revision: this.revision }, 'a gateway reads too slowly and is disconnected');
      this.close();
    }
  }
}
