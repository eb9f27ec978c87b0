import type { FieldError } from '#contract/problems.ts';
import type { Purge } from '#contract/purge.ts';
import type { Change, StreamLine } from '#contract/registry.ts';
import { parseChange, parseChanges } from '#contract/validation.ts';
import { RefusedRevisionError, type Registry } from './registry.ts';
import type { SnapshotIntake } from './snapshot-intake.ts';
import { StreamProtocolError } from './stream-lines.ts';

const maxReportedErrors = 20;

export interface Refusal {
  readonly revision: number;
  readonly errors: readonly string[];
}

export interface StreamSessionOptions {
  readonly registry: Registry;
  /** A revision has been put in force on the main thread. */
  readonly onRevision: () => void;
  /** An operator purges the response caches; it may be known already. */
  readonly onPurge?: ((id: number, purge: Purge) => Promise<void>) | undefined;
  /** A revision was refused as a whole. From here on the session only takes revocations. */
  readonly onRefused: (refusal: Refusal) => void;
}

/** Applies the lines of one connection to the registry stream, in order. */
export class StreamSession {
  readonly #options: StreamSessionOptions;
  #intake: SnapshotIntake | null = null;
  #intakeRevision = 0;
  #intakeErrors: string[] = [];
  #held = false;

  constructor(options: StreamSessionOptions) {
    this.#options = options;
  }

  /** Returns a promise where there is something to wait for before the next line. Throws StreamProtocolError. */
  receive(value: unknown): Promise<void> | undefined {
    const line = value as StreamLine;
    switch (line?.type) {
      case 'change':
        return this.#receiveChange(line);
      case 'delta':
        return this.#receiveDelta(line.revision, line.changes);
      case 'ping':
        return undefined;
      case 'purge':
        return this.#options.onPurge?.(line.id, line.purge);
      case 'snapshot':
        return this.#beginSnapshot(revisionOf(line.revision));
      case 'snapshot_end':
        return this.#endSnapshot(revisionOf(line.revision), line.count);
      default:
        throw new StreamProtocolError(
          `a line of unknown type ${JSON.stringify((line as { type?: unknown } | null)?.type)}`,
        );
    }
  }

  /** The connection has ended; a snapshot that is not whole is dropped. */
  async end(): Promise<void> {
    await this.#dropIntake();
  }

  async #beginSnapshot(revision: number): Promise<void> {
    await this.#dropIntake();
    this.#intake = await this.#options.registry.beginSnapshot();
    this.#intakeRevision = revision;
    this.#intakeErrors = [];
  }

  #receiveChange(line: Change): Promise<void> | undefined {
    const intake = this.#intake;
    if (intake === null) throw new StreamProtocolError('a change outside a snapshot');
    const parsed = parseChange(line);
    if (parsed.ok) {
      try {
        return intake.add(parsed.value);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        this.#noteError(`${line.kind} ${line.id}: ${error.message}`);
      }
    } else for (const error of parsed.errors) this.#noteError(`${line.kind} ${line.id}: ${describe(error)}`);
    intake.count++;
    return undefined;
  }

  #noteError(error: string): void {
    if (this.#intakeErrors.length < maxReportedErrors) this.#intakeErrors.push(error);
  }

  async #endSnapshot(revision: number, count: number): Promise<void> {
    const intake = this.#intake;
    if (intake === null) throw new StreamProtocolError('the end of a snapshot that did not begin');
    if (revision !== this.#intakeRevision || (this.#intakeErrors.length === 0 && intake.count !== count)) {
      throw new StreamProtocolError(`a snapshot of ${count} objects came with ${intake.count}`);
    }
    if (this.#intakeErrors.length > 0) {
      this.#refuse({ revision, errors: this.#intakeErrors });
      await this.#dropIntake();
      return;
    }
    try {
      await this.#options.registry.commitSnapshot(intake, revision);
      this.#intake = null;
      this.#options.onRevision();
    } catch (error) {
      await this.#dropIntake();
      if (!(error instanceof RefusedRevisionError)) throw error;
      this.#refuse({ revision, errors: [error.message] });
    }
  }

  async #receiveDelta(revision: number, changes: unknown): Promise<void> {
    revisionOf(revision);
    if (this.#held) {
      await this.#takeRevocations(changes);
      return;
    }
    const parsed = parseChanges(changes, '/changes');
    try {
      if (!parsed.ok) throw new RefusedRevisionError(parsed.errors.map(describe).join('; '));
      await this.#options.registry.applyDelta({ revision, changes: parsed.value });
      this.#options.onRevision();
    } catch (error) {
      if (!(error instanceof RefusedRevisionError)) throw error;
      this.#refuse({ revision, errors: [error.message] });
      await this.#takeRevocations(changes);
    }
  }

  async #takeRevocations(changes: unknown): Promise<void> {
    if (!Array.isArray(changes)) return;
    const valid: Change[] = [];
    for (const change of changes) {
      const parsed = parseChange(change);
      if (parsed.ok) valid.push(parsed.value);
    }
    await this.#options.registry.applyRevocations(valid);
  }

  #refuse(refusal: Refusal): void {
    this.#held = true;
    this.#options.onRefused(refusal);
  }

  async #dropIntake(): Promise<void> {
    const intake = this.#intake;
    this.#intake = null;
    if (intake !== null) await this.#options.registry.abandonSnapshot(intake);
  }
}

function describe({ pointer, detail }: FieldError): string {
  return pointer === '' ? detail : `${pointer}: ${detail}`;
}

function revisionOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new StreamProtocolError(`${JSON.stringify(value)} is not a revision`);
}
