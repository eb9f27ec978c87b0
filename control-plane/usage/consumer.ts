import type { IngestResult } from './ingest.ts';

/** Takes batches from a broker and gives them to the ingestor; what is not ingested stays with the broker. */
export interface UsageConsumer {
  readonly name: string;
  /** Batches waiting at the broker; null when it cannot tell now. */
  lag(): Promise<number | null>;
  /** Ends after what is under way. */
  close(): Promise<void>;
}

export interface ConsumerOptions {
  /** `Ingestor.ingest`. */
  readonly ingest: (batches: readonly Uint8Array[], origin: string) => Promise<IngestResult>;
  readonly onError: (error: Error) => void;
  /** Pause after a failure, doubled up to `maxPauseMs` as they go on. */
  readonly minPauseMs?: number;
  readonly maxPauseMs?: number;
}

/** The pause before attempt `attempt` (from 1), with jitter. */
export function pauseMsOf(
  { minPauseMs = 100, maxPauseMs = 10_000 }: ConsumerOptions,
  attempt: number,
): number {
  return Math.min(maxPauseMs, minPauseMs * 2 ** Math.min(attempt - 1, 16)) * (0.5 + Math.random() / 2);
}
