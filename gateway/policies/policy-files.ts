import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { loadPolicies, PolicyFileError } from './load.ts';
import type { Policy } from './policy.ts';

export interface PolicyFilesOptions {
  /** Absolute paths. */
  readonly files: readonly string[];
  /** What is wrong with the routes in force if these policies come into force. */
  readonly check: (policies: ReadonlyMap<string, Policy>) => readonly string[];
  /** All policies have been loaded anew. */
  readonly onLoaded: (generation: number) => void;
  readonly log: (level: 'info' | 'warn', message: string, details: object) => void;
}

const settleMs = 100;

/** The policies of a gateway process: loaded at start, again when a file changes. Files that fail leave the former ones. */
export class PolicyFiles {
  readonly #options: PolicyFilesOptions;
  readonly #watchers: FSWatcher[] = [];
  #policies: ReadonlyMap<string, Policy> = new Map();
  #generation = 0;
  /** A module that was loaded, even in vain, is not loaded from its file again. */
  #attempts = 0;
  #timer: NodeJS.Timeout | null = null;

  private constructor(options: PolicyFilesOptions) {
    this.#options = options;
  }

  /** Rejects with a PolicyFileError when a file cannot be used. */
  static async open(options: PolicyFilesOptions): Promise<PolicyFiles> {
    const opened = new PolicyFiles(options);
    opened.#policies = await loadPolicies(options.files, 0);
    opened.#watch();
    return opened;
  }

  get policies(): ReadonlyMap<string, Policy> {
    return this.#policies;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Loads the files as they are now. Rejects, and keeps the former policies, when one cannot be used. */
  async reload(): Promise<void> {
    if (this.#options.files.length === 0) return;
    const generation = ++this.#attempts;
    const policies = await loadPolicies(this.#options.files, generation);
    const problems = this.#options.check(policies);
    if (problems.length > 0) throw new PolicyFileError(problems.join('\n'));
    this.#policies = policies;
    this.#generation = generation;
    this.#options.onLoaded(generation);
  }

  /** Folders are watched, since editors put a new file in the place of the old one. */
  #watch(): void {
    const names = new Map<string, Set<string>>();
    for (const file of this.#options.files) {
      const folder = dirname(file);
      names.set(folder, (names.get(folder) ?? new Set()).add(basename(file)));
    }
    for (const [folder, files] of names) {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name !== null && files.has(name)) this.#reloadSoon();
      });
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    }
  }

  #reloadSoon(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.reload().then(
        () => this.#options.log('info', 'policies loaded again', { generation: this.#generation }),
        (error: Error) => this.#options.log('warn', 'policies not changed', { error: error.message }),
      );
    }, settleMs);
    this.#timer.unref();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
  }
}
