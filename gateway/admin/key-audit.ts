import { appendFile, mkdir } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { dirname } from 'node:path';
import type { TLSSocket } from 'node:tls';
import type { Key } from '#contract/registry.ts';

export interface KeyAuditEntry {
  readonly action: 'key.set' | 'key.removed' | 'key.created' | 'key.rotated' | 'key.revoked';
  readonly key_id: string;
  readonly actor: string;
  readonly remote_address: string | null;
  /** Of the portal's message that asked for it. */
  readonly message_id?: string;
  readonly reason?: string;
  readonly before: object | null;
  readonly after: object | null;
}

/** Writes down who changed which key, as JSON lines in a file that is only appended to, and in the log. */
export class KeyAudit {
  readonly #path: string | null;
  readonly #log: (level: 'info' | 'error', message: string, details: object) => void;
  readonly #now: () => number;

  constructor(
    path: string | null,
    log: (level: 'info' | 'error', message: string, details: object) => void,
    now: () => number = Date.now,
  ) {
    this.#path = path;
    this.#log = log;
    this.#now = now;
  }

  /** Never rejects: the change has been made. What cannot be written to the file is in the log at least. */
  async record(entries: readonly KeyAuditEntry[]): Promise<void> {
    const at = new Date(this.#now()).toISOString();
    for (const entry of entries) this.#log('info', 'key audit', entry);
    if (this.#path === null || entries.length === 0) return;
    const lines = entries.map((entry) => `${JSON.stringify({ at, ...entry })}\n`).join('');
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      await appendFile(this.#path, lines, { mode: 0o600, flush: true });
    } catch (error) {
      this.#log('error', 'the key audit cannot be written', { error: (error as Error).message });
    }
  }
}

/** What may be written down of a key: all but its secrets. */
export function describeKey(key: Key | undefined): object | null {
  if (key === undefined) return null;
  const { secrets, ...rest } = key;
  return { ...rest, secrets: secrets.length };
}

/** Who an operator's request came from: the subject of the client certificate where there is one. */
export function actorOf(request: IncomingMessage): { actor: string; remote_address: string | null } {
  const socket = request.socket as Partial<TLSSocket> & IncomingMessage['socket'];
  const subject = socket.authorized ? socket.getPeerCertificate?.().subject?.CN : undefined;
  return {
    actor: subject === undefined ? 'operator' : `operator ${[subject].flat().join(' ')}`,
    remote_address: socket.remoteAddress ?? null,
  };
}
