import type { ExchangeHandler } from '../../exchange.ts';
import type { TimerWheel } from '../timers/timer-wheel.ts';
import type { Http1Connection } from './connection.ts';
import type { DateLine } from './date-line.ts';
import type { RequestFault } from './faults.ts';
import type { HeadLimits } from './request-parser.ts';

/** What a connection needs of the server that accepted it. */
export interface ConnectionHost {
  readonly handler: ExchangeHandler;
  readonly wheel: TimerWheel;
  readonly date: DateLine;
  readonly limits: HeadLimits;
  /** From the first byte of a head (or the connection) to its end. */
  readonly headTimeoutMs: number;
  /** Between two pieces of a request body. */
  readonly bodyIdleTimeoutMs: number;
  /** For a client to take some of its response. */
  readonly writeIdleTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** How long a request is worked on for a client that has closed its side. */
  readonly halfCloseMs: number;
  readonly lingerMs: number;
  /** No connection is kept beyond the response under way. */
  readonly draining: boolean;
  /** Told of every malformed message. */
  readonly onFault: ((fault: RequestFault) => void) | null;
  onConnectionClosed(connection: Http1Connection): void;
  /** Calls `flush` of the connection when the events at hand have been dealt with. */
  flushSoon(connection: Http1Connection): void;
  /**
   * Offered a connection that begins with the HTTP/2 preface, with what has arrived (preface included); true when it
   * has been taken over.
   */
  takeHttp2(connection: Http1Connection, received: Buffer): boolean;
}
