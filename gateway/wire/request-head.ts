/** The head of a request, as a wire has parsed it. */
export interface RequestHead {
  readonly method: string;
  /** Path and query as sent (origin form). */
  readonly target: string;
  /** Flat, names in lower case, values without surrounding white space. Framing fields may be among them. */
  readonly headers: string[];
  /** Lower case, with the port if one was sent. */
  readonly host: string;
  readonly secure: boolean;
  readonly remoteAddress: string;
  readonly httpVersion: '1.0' | '1.1' | '2';
  /** -1 when chunked, 0 when there is none. */
  readonly bodyLength: number;
  /** The first protocol of Upgrade when Connection names it, else null. */
  readonly upgrade: string | null;
  /** Lower-case names that Connection lists besides close, keep-alive and upgrade; null when none. */
  readonly connectionFields: readonly string[] | null;
}
