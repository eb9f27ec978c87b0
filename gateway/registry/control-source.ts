import type { Readable } from 'node:stream';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import { Agent, request } from 'undici';
import type { Purge } from '#contract/purge.ts';
import type { Acknowledgement } from '#contract/registry.ts';
import type { Registry } from './registry.ts';
import { readLines, StreamProtocolError } from './stream-lines.ts';
import { type Refusal, StreamSession } from './stream-session.ts';

export interface ControlSourceOptions {
  readonly registry: Registry;
  /** Base address of the control plane. */
  readonly url: string;
  readonly token: string;
  /** How this gateway is named to the control plane. */
  readonly gateway: string;
  readonly version: string;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details: object) => void;
  /** An operator purges the response caches; the same id may come again. */
  readonly onPurge?: ((id: number, purge: Purge) => Promise<void>) | undefined;
  /** A connection on which nothing comes for this long is dead. Default: 20,000. */
  readonly silenceMs?: number;
  /** Bounds of the pause before the next connection. Defaults: 100 and 10,000. */
  readonly minPauseMs?: number;
  readonly maxPauseMs?: number;
  /** After this long a refused revision is asked for again. Default: 30,000. */
  readonly refusedPauseMs?: number;
  /** From 0 to 1; for tests. */
  readonly random?: () => number;
}

export interface ControlSourceStatus {
  readonly connected: boolean;
  /** Why the last connection ended or did not come about; null while connected. */
  readonly error: string | null;
  /** The revision that was refused and stands out; null when none does. */
  readonly refused: Refusal | null;
  readonly refusals: number;
  readonly connections: number;
}

/**
 * Follows the control plane: takes its snapshot and deltas as they come, acknowledges what all workers have applied,
 * and connects again from the own revision whenever the connection is lost.
 */
export class ControlSource {
  readonly #options: ControlSourceOptions;
  readonly #agent = new Agent({
    connections: 4,
    connect: { timeout: 5000 },
    headersTimeout: 10_000,
    bodyTimeout: 0,
  });
  #closing = new AbortController();
  #status: ControlSourceStatus = {
    connected: false,
    error: null,
    refused: null,
    refusals: 0,
    connections: 0,
  };
  #running: Promise<void> | null = null;
  #acknowledged = -1;
  #acknowledging: Promise<void> | null = null;
  #failures = 0;

  constructor(options: ControlSourceOptions) {
    this.#options = options;
  }

  get status(): ControlSourceStatus {
    return this.#status;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    await this.#acknowledging;
    await this.#agent.destroy();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      let error = 'the control plane ended the stream';
      try {
        await this.#connect(signal);
      } catch (fault) {
        error = describe(fault);
      }
      if (signal.aborted) return;
      const wasConnected = this.#status.connected;
      const changed = this.#status.error !== error;
      this.#status = { ...this.#status, connected: false, error };
      if (wasConnected || changed) {
        this.#options.log('warn', 'not connected to the control plane', { url: this.#options.url, error });
      }
      await pause(this.#nextPauseMs(), signal);
    }
  }

  #nextPauseMs(): number {
    const { minPauseMs = 100, maxPauseMs = 10_000, random = Math.random } = this.#options;
    const ceiling = Math.min(maxPauseMs, minPauseMs * 2 ** Math.min(this.#failures++, 20));
    return minPauseMs / 2 + random() * ceiling;
  }

  async #connect(closing: AbortSignal): Promise<void> {
    const { registry, url, token, silenceMs = 20_000, refusedPauseMs = 30_000 } = this.#options;
    const ending = new AbortController();
    const signal = AbortSignal.any([closing, ending.signal]);
    const query = new URLSearchParams({ gateway: this.#options.gateway });
    if (registry.isFilled) query.set('from', String(registry.revision));
    const response = await request(`${url}/registry/v1/stream?${query}`, {
      dispatcher: this.#agent,
      signal,
      headers: {
        accept: 'application/x-ndjson',
        'accept-encoding': 'zstd, gzip',
        authorization: `Bearer ${token}`,
      },
    });
    if (response.statusCode !== 200) {
      const body = await response.body.text();
      throw new StreamProtocolError(`status ${response.statusCode}: ${body.slice(0, 200)}`);
    }
    const session = new StreamSession({
      registry,
      onRevision: () => this.#onRevision(),
      onPurge: this.#options.onPurge,
      onRefused: (refusal) => {
        this.#status = { ...this.#status, refused: refusal, refusals: this.#status.refusals + 1 };
        this.#options.log('error', 'a registry revision was refused; the former stays in force', refusal);
        setTimeout(() => ending.abort(new Error('a revision was refused')), refusedPauseMs).unref();
      },
    });
    const body = decode(response.body, String(response.headers['content-encoding'] ?? ''));
    const onSilence = (): void => ending.abort(new Error(`nothing came for ${silenceMs} ms`));
    try {
      for await (const line of readLines(body, silenceMs, onSilence)) {
        if (!this.#status.connected) this.#onConnected();
        const waiting = session.receive(line);
        if (waiting !== undefined) await waiting;
      }
    } catch (error) {
      throw ending.signal.aborted ? ending.signal.reason : error;
    } finally {
      response.body.destroy();
      body.destroy();
      await session.end();
    }
  }

  #onConnected(): void {
    this.#failures = 0;
    this.#status = {
      ...this.#status,
      connected: true,
      error: null,
      connections: this.#status.connections + 1,
    };
    this.#acknowledged = -1;
    this.#options.log('info', 'connected to the control plane', {
      url: this.#options.url,
      revision: this.#options.registry.revision,
    });
    if (this.#options.registry.isFilled) this.#acknowledge();
  }

  #onRevision(): void {
    if (this.#status.refused !== null) this.#status = { ...this.#status, refused: null };
    this.#acknowledge();
  }

  /** Tells what all workers have applied, once at a time, and again as long as that has moved on. */
  #acknowledge(): void {
    this.#acknowledging ??= this.#sendAcknowledgements().finally(() => {
      this.#acknowledging = null;
    });
  }

  async #sendAcknowledgements(): Promise<void> {
    const { registry, url, token, gateway, version } = this.#options;
    while (!this.#closing.signal.aborted && this.#status.connected) {
      await registry.settled();
      const revision = registry.appliedRevision;
      if (revision === this.#acknowledged) return;
      try {
        const response = await request(`${url}/registry/v1/ack`, {
          method: 'POST',
          dispatcher: this.#agent,
          signal: this.#closing.signal,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ gateway, revision, version } satisfies Acknowledgement),
        });
        await response.body.dump();
        if (response.statusCode >= 300) throw new Error(`status ${response.statusCode}`);
        this.#acknowledged = revision;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        this.#options.log('warn', 'a revision could not be acknowledged', { error: describe(error) });
        await pause(1000, this.#closing.signal);
      }
    }
  }
}

function decode(body: Readable, encoding: string): Readable {
  if (encoding === '' || encoding === 'identity') return body;
  const decoder =
    encoding === 'gzip'
      ? createGunzip({ flush: constants.Z_SYNC_FLUSH })
      : encoding === 'zstd'
        ? createZstdDecompress()
        : null;
  if (decoder === null) throw new StreamProtocolError(`unknown content coding ${encoding}`);
  body.on('error', (error) => decoder.destroy(error));
  return body.pipe(decoder);
}

function describe(fault: unknown): string {
  const error = fault as NodeJS.ErrnoException;
  return error?.code && !error.message.includes(error.code)
    ? `${error.message} (${error.code})`
    : String(error?.message || error);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
