import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { parseKeyBatch, parseKeyPush } from '#contract/key-push.ts';
import type { FieldError } from '#contract/problems.ts';
import type { Change, Key } from '#contract/registry.ts';
import { NotPersistedError } from '../registry/persistence.ts';
import { RefusedRevisionError, type Registry } from '../registry/registry.ts';
import { actorOf, describeKey, type KeyAudit, type KeyAuditEntry } from './key-audit.ts';
import { type AdminHandler, readJson, sendJson, sendProblem } from './server.ts';

const maxKeyBytes = 1 << 20;
const maxBatchBytes = 64 << 20;
const prefix = '/admin/v1/keys';

export interface KeyAdminOptions {
  readonly registry: Registry;
  readonly audit: KeyAudit;
  /** False where a control plane is the source of keys: they are to be pushed there. */
  readonly standAlone: boolean;
}

/**
 * Keys pushed to a gateway that stands alone: `PUT`, `GET` and `DELETE /admin/v1/keys/{key_id}` and
 * `POST /admin/v1/keys:batch`. Every call may be repeated. A change is on the disk and in force when it is answered.
 */
export function keyAdmin(options: KeyAdminOptions): AdminHandler {
  return async (request, response, path) => {
    if (path !== `${prefix}:batch` && !path.startsWith(`${prefix}/`)) return false;
    if (!options.standAlone) {
      sendProblem(response, 'conflict', {}, 'This gateway follows a control plane; push keys there.');
      return true;
    }
    try {
      if (path === `${prefix}:batch`) await pushBatch(options, request, response);
      else await serveKey(options, request, response, path.slice(prefix.length + 1));
    } catch (error) {
      if (error instanceof NotPersistedError) {
        sendProblem(response, 'unavailable', {}, 'The change could not be written to disk and was not made.');
      } else if (error instanceof RefusedRevisionError) {
        sendProblem(response, 'validation_failed', {}, error.message);
      } else throw error;
    }
    return true;
  };
}

async function serveKey(
  options: KeyAdminOptions,
  request: IncomingMessage,
  response: ServerResponse,
  encodedId: string,
): Promise<void> {
  const keyId = decodeId(encodedId);
  if (keyId === null) {
    sendProblem(response, 'not_found');
    return;
  }
  const before = options.registry.keys.find(keyId)?.key;
  if (request.method === 'GET') {
    if (before === undefined) sendProblem(response, 'not_found');
    else sendJson(response, 200, keyDocument(before));
  } else if (request.method === 'PUT') {
    const body = await readJson(request, maxKeyBytes);
    if (!body.ok) {
      sendProblem(response, body.code, {}, body.detail);
      return;
    }
    const parsed = parseKeyPush(keyId, body.value);
    if (!parsed.ok) {
      refuse(response, parsed.errors);
      return;
    }
    await push(options, request, [{ keyId, key: parsed.value }]);
    sendJson(response, before === undefined ? 201 : 200, keyDocument(parsed.value));
  } else if (request.method === 'DELETE') {
    await push(options, request, [{ keyId, key: null }]);
    response.writeHead(204).end();
  } else sendProblem(response, 'method_not_allowed', { Allow: 'GET, PUT, DELETE' });
}

async function pushBatch(
  options: KeyAdminOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST') {
    sendProblem(response, 'method_not_allowed', { Allow: 'POST' });
    return;
  }
  const body = await readJson(request, maxBatchBytes);
  if (!body.ok) {
    sendProblem(response, body.code, {}, body.detail);
    return;
  }
  const parsed = parseKeyBatch(body.value);
  if (!parsed.ok) {
    refuse(response, parsed.errors);
    return;
  }
  const changed = await push(options, request, parsed.value);
  const removed = parsed.value.filter(({ key }) => key === null).length;
  sendJson(response, 200, {
    set: parsed.value.length - removed,
    removed,
    changed,
    revision: options.registry.revision,
  });
}

/** Makes the changes that are none yet, as one revision; returns how many these were. */
async function push(
  { registry, audit }: KeyAdminOptions,
  request: IncomingMessage,
  pushed: readonly { readonly keyId: string; readonly key: Key | null }[],
): Promise<number> {
  const entries: KeyAuditEntry[] = [];
  const last = new Map(pushed.map((entry) => [entry.keyId, entry.key]));
  const actor = actorOf(request);
  await registry.change(() => {
    const changes: Change[] = [];
    for (const [keyId, wanted] of last) {
      const before = registry.keys.find(keyId)?.key;
      const key = wanted ?? (before && withoutKey(registry, before));
      if (key === undefined || isDeepStrictEqual(key, before)) continue;
      changes.push({ kind: 'key', id: keyId, object: key });
      entries.push({
        action: wanted === null ? 'key.removed' : 'key.set',
        key_id: keyId,
        ...actor,
        before: describeKey(before),
        after: describeKey(wanted ?? undefined),
      });
    }
    return changes.length === 0 ? null : { changes };
  });
  await audit.record(entries);
  return entries.length;
}

/** What is left when a key is removed: one that the configuration lists stays as revoked, or it would come back. */
function withoutKey(registry: Registry, { id, kind, environment }: Key): Key | null {
  if (!registry.isDeclared('key', id)) return null;
  return { id, kind, environment, status: 'revoked', secrets: [] };
}

/** A key as it is shown: snake_case, without anything secret. */
function keyDocument(key: Key): object {
  return {
    key_id: key.id,
    kind: key.kind,
    environment: key.environment,
    status: key.status,
    app: key.app ?? null,
    plan: key.plan ?? null,
    version: key.version ?? null,
    scopes: key.scopes ?? null,
    addresses: key.addresses ?? null,
    expires_at: key.expiresAt === undefined ? null : new Date(key.expiresAt).toISOString(),
  };
}

function refuse(response: ServerResponse, errors: readonly FieldError[]): void {
  sendProblem(response, 'validation_failed', {}, undefined, { errors });
}

function decodeId(encoded: string): string | null {
  if (encoded === '' || encoded.includes('/')) return null;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}
