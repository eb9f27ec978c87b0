/**
 * Carries batches to where they are ingested. Every transport passes `test/gateway/usage/transport-conformance.ts`.
 */
export interface UsageTransport {
  readonly name: string;
  /**
   * Resolves when the other side holds all of these batches durably; order within the call is kept. A batch may have
   * arrived although the call failed, and is then sent again: receivers count each (source, sequence) once.
   * Rejects with {@link BatchesRefused} when sending the same again can never succeed, with any other error when
   * it may. Only one call is under way at a time.
   */
  send(batches: readonly Buffer[], signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** The receiver will never take these batches. */
export class BatchesRefused extends Error {}
