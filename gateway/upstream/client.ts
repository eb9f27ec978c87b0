import type { Duplex } from 'node:stream';

/** What an upstream client is asked to send. It adds framing and Connection itself. */
export interface UpstreamRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Flat, lower-case names, Host included, no hop-by-hop or framing fields. */
  readonly headers: string[];
  /** -1 unknown (chunked), 0 none. */
  readonly bodyLength: number;
  /** The whole body when it is at hand; then `write` and `end` are not called. */
  readonly body: Buffer | null;
  /** The protocol to upgrade to, or null. */
  readonly upgrade: string | null;
}

/** One origin, its settings resolved; clients key their pools by this object. */
export interface Upstream {
  readonly origin: string;
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  /** Value for Host. */
  readonly authority: string;
  readonly http2: boolean;
  readonly connectTimeoutMs: number;
  /** From the request sent to the response head. */
  readonly responseTimeoutMs: number;
  /** Between two pieces of the response body. */
  readonly idleTimeoutMs: number;
}

/**
 * Why an upstream request failed. `unreachable`: no connection; `reset`: closed before the answer was whole;
 * `invalid`: not valid HTTP; `timeout`: silent for too long; `aborted`: by `UpstreamCall.abort`, never reported.
 */
export type UpstreamFailure = 'unreachable' | 'reset' | 'invalid' | 'timeout';

/** Receives one upstream response, in this order; `onError` ends it and comes at most once, `onEnd` never after it. */
export interface UpstreamHandler {
  onInformation(status: number, headers: string[]): void;
  /** Headers: flat, lower-case names, hop-by-hop and framing fields removed. `bodyLength`: -1 unknown. */
  onHead(status: number, headers: string[], bodyLength: number): void;
  /** False asks the client to pause until `UpstreamCall.resume`. The chunk may be kept. */
  onData(chunk: Buffer): boolean;
  /**
   * Whether nothing holds the chunk last given to `onData` any more; its memory is then used again. Left out by handlers
   * that keep chunks.
   */
  released?(): boolean;
  onEnd(trailers: string[] | null): void;
  onError(failure: UpstreamFailure): void;
  /** The request body may flow again. */
  onDrain(): void;
  onUpgrade(headers: string[], socket: Duplex, head: Buffer): void;
}

export interface UpstreamCall {
  /** A piece of the request body; false asks to wait for `onDrain`. */
  write(chunk: Buffer): boolean;
  end(trailers: readonly string[] | null): void;
  pause(): void;
  resume(): void;
  /** Gives up; no further handler call follows. */
  abort(): void;
}

export interface UpstreamClient {
  /** Sends a request. Handler calls begin after it has returned. */
  send(upstream: Upstream, request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall;
  /** Closes idle connections and, once they end, busy ones. */
  close(): Promise<void>;
}
