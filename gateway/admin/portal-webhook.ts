import type { IncomingMessage } from 'node:http';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { type PortalEvent, parsePortalEvent } from '#contract/portal-event.ts';
import type { Key, Secret } from '#contract/registry.ts';
import { NotPersistedError } from '../registry/persistence.ts';
import type { Registry } from '../registry/registry.ts';
import { describeKey, type KeyAudit, type KeyAuditEntry } from './key-audit.ts';
import { type AdminHandler, readBody, sendJson, sendProblem } from './server.ts';

const maxBodyBytes = 1 << 20;
const defaultGraceMs = 7 * 86_400_000;

export interface PortalWebhookOptions {
  readonly registry: Registry;
  readonly audit: KeyAudit;
  /** Secret that the portal signs with (`whsec_…`). */
  readonly secret: string;
  readonly now?: () => number;
}

type Outcome =
  | { readonly status: 'applied'; readonly key: Key }
  | { readonly status: 'ignored'; readonly why: string };

/**
 * `POST /admin/v1/webhooks/portal`: what a portal tells of its keys, signed as Standard Webhooks. A message is acted on
 * once. Messages may come late or out of order: a revoked key stays revoked, and what is older than the last thing
 * told of a key changes nothing. Throws for a secret that is not one.
 */
export function portalWebhook(options: PortalWebhookOptions): AdminHandler {
  const webhook = new Webhook(options.secret);
  const now = options.now ?? Date.now;
  return async (request, response, path) => {
    if (path !== '/admin/v1/webhooks/portal') return false;
    if (request.method !== 'POST') {
      sendProblem(response, 'method_not_allowed', { Allow: 'POST' });
      return true;
    }
    const body = (await readBody(request, maxBodyBytes))?.toString('utf8') ?? null;
    if (body === null) {
      sendProblem(response, 'body_too_large');
      return true;
    }
    let content: unknown;
    try {
      content = webhook.verify(body, request.headers as Record<string, string>);
    } catch (error) {
      if (error instanceof WebhookVerificationError) sendProblem(response, 'credentials_invalid');
      else sendProblem(response, 'invalid_parameter', {}, 'The body is not valid JSON.');
      return true;
    }
    const event = parsePortalEvent(content);
    if (!event.ok) {
      sendProblem(response, 'validation_failed', {}, undefined, { errors: event.errors });
      return true;
    }
    const messageId = String(request.headers['webhook-id']);
    try {
      sendJson(response, 200, await act(options, event.value, messageId, request, now()));
    } catch (error) {
      if (!(error instanceof NotPersistedError)) throw error;
      sendProblem(response, 'unavailable', { 'Retry-After': '5' });
    }
    return true;
  };
}

async function act(
  { registry, audit }: PortalWebhookOptions,
  event: PortalEvent,
  messageId: string,
  request: IncomingMessage,
  nowMs: number,
): Promise<object> {
  if (event.type === 'other')
    return { status: 'ignored', reason: `${event.name} does not concern a gateway` };
  const { keyId } = event;
  let answer: object = { status: 'duplicate', key_id: keyId };
  let entry: KeyAuditEntry | null = null;
  await registry.change(() => {
    if (registry.messages.has(messageId)) return null;
    const before = registry.keys.find(keyId)?.key;
    const outcome = decide(event, before, registry.messages.lastToldOf(keyId), nowMs);
    const message = { id: messageId, atMs: nowMs, keyId, toldAtMs: event.atMs };
    if (outcome.status === 'ignored') {
      answer = { status: 'ignored', key_id: keyId, reason: outcome.why };
      return { changes: [], message };
    }
    answer = { status: 'applied', key_id: keyId };
    entry = {
      action: event.type,
      key_id: keyId,
      actor: 'portal',
      remote_address: request.socket.remoteAddress ?? null,
      message_id: messageId,
      ...(event.type === 'key.revoked' && event.reason !== undefined ? { reason: event.reason } : {}),
      before: describeKey(before),
      after: describeKey(outcome.key),
    };
    return { changes: [{ kind: 'key', id: keyId, object: outcome.key }], message };
  });
  if (entry !== null) await audit.record([entry]);
  return answer;
}

/** What an event makes of a key. `lastToldMs` is the time of the newest event that there was of this key. */
export function decide(
  event: Exclude<PortalEvent, { type: 'other' }>,
  before: Key | undefined,
  lastToldMs: number | undefined,
  nowMs: number,
): Outcome {
  if (event.type === 'key.revoked') {
    if (before?.status === 'revoked') return { status: 'ignored', why: 'it is revoked already' };
    return { status: 'applied', key: revoked(event.keyId, before) };
  }
  if (before?.status === 'revoked') return { status: 'ignored', why: 'it is revoked' };
  if (lastToldMs !== undefined && event.atMs <= lastToldMs) {
    return { status: 'ignored', why: 'something newer is known of it' };
  }
  if (event.type === 'key.created') {
    if (before !== undefined) return { status: 'ignored', why: 'it exists already' };
    return { status: 'applied', key: event.key };
  }
  if (before === undefined) return { status: 'applied', key: event.key };
  const { secrets, expiresAt, ...stated } = event.key;
  const graceEnd =
    event.previousExpiresAt === undefined ? event.atMs + defaultGraceMs : event.previousExpiresAt;
  const newest = secrets[0]!;
  const kept = before.secrets
    .filter(({ sha256 }) => sha256 !== newest.sha256)
    .map((secret) => expiring(secret, graceEnd ?? nowMs, before.expiresAt))
    .filter((secret) => secret.expiresAt! > nowMs);
  return {
    status: 'applied',
    key: {
      ...before,
      ...stated,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      secrets: [newest, ...kept],
    },
  };
}

/** A former secret: valid until the grace ends, never beyond its own or its key's original end. */
function expiring(secret: Secret, graceEnd: number, keyEnd: number | undefined): Secret {
  return {
    ...secret,
    expiresAt: Math.min(
      graceEnd,
      secret.expiresAt ?? Number.POSITIVE_INFINITY,
      keyEnd ?? Number.POSITIVE_INFINITY,
    ),
  };
}

/** Kept as a revoked key, so that a late message cannot bring it back. */
function revoked(keyId: string, before: Key | undefined): Key {
  const named = keyId.startsWith('ak_test_') ? 'test' : 'live';
  return {
    id: keyId,
    kind: before?.kind ?? 'bearer',
    environment: before?.environment ?? named,
    status: 'revoked',
    secrets: before?.secrets ?? [],
    ...(before?.app === undefined ? {} : { app: before.app }),
  };
}
