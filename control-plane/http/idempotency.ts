import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App, Context } from '../context.ts';
import { ProblemError } from './problem.ts';

const heldFor = '24 hours';
const runningFor = '60 seconds';
const keptHeaders = ['content-type', 'location', 'etag', 'cache-control'] as const;

interface Stored {
  readonly fingerprint: string;
  readonly status: number | null;
  readonly data_key: string | null;
  readonly box: string | null;
  readonly running: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    idempotency: { scope: string; key: string } | null;
  }
}

/**
 * Makes POST requests with an `Idempotency-Key` safe to repeat: for 24 hours a repetition gets the first reply again,
 * marked `Idempotent-Replayed: true`. Another request under the same key is refused, and so is one while the first
 * still runs. Replies of 5xx are not kept.
 */
export function addIdempotency(app: App, { db, secrets, log }: Context): void {
  app.decorateRequest('idempotency', null);

  app.addHook('preHandler', async (request, reply) => {
    const key = request.headers['idempotency-key'];
    if (request.method !== 'POST' || key === undefined || request.caller === null) return;
    if (typeof key !== 'string' || !/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw new ProblemError('invalid_parameter', 'Idempotency-Key must be 1 to 255 visible characters.');
    }
    const scope = `${request.caller.kind}:${request.caller.actor} ${request.url.split('?', 1)[0]}`;
    const fingerprint = createHash('sha256')
      .update(JSON.stringify([request.url, request.body ?? null]))
      .digest('hex');
    const taken = await db.execute(
      `INSERT INTO idempotency_keys (scope, key, fingerprint) VALUES ($1, $2, $3)
       ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = NULL, created_at = now()
       WHERE idempotency_keys.created_at < now() - interval '${heldFor}'
          OR (idempotency_keys.status IS NULL AND idempotency_keys.created_at < now() - interval '${runningFor}')`,
      [scope, key, fingerprint],
    );
    if (taken > 0) {
      request.idempotency = { scope, key };
      return;
    }
    const [stored] = await db.query<Stored>(
      `SELECT fingerprint, status, data_key, box, status IS NULL AS running
       FROM idempotency_keys WHERE scope = $1 AND key = $2`,
      [scope, key],
    );
    if (stored && stored.fingerprint !== fingerprint) throw new ProblemError('idempotency_key_reused');
    const text = stored?.box && (await secrets.open(subject(scope, key), stored.data_key!, stored.box));
    if (!text) {
      throw new ProblemError('conflict', 'A request with this Idempotency-Key is under way.', undefined, {
        'retry-after': '1',
      });
    }
    const { headers, body } = JSON.parse(text) as { headers: Record<string, string>; body: string };
    return reply.code(stored.status!).headers(headers).header('idempotent-replayed', 'true').send(body);
  });

  app.addHook('onSend', async (request, reply, payload) => {
    const held = request.idempotency;
    if (!held) return payload;
    request.idempotency = null;
    try {
      if (reply.statusCode >= 500 || (payload !== null && typeof payload !== 'string')) {
        await db.execute('DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2', [
          held.scope,
          held.key,
        ]);
      } else await keep(request, reply, held, payload);
    } catch (error) {
      log.error({ err: error }, 'cannot keep the reply of an idempotent request');
    }
    return payload;
  });

  async function keep(
    _request: FastifyRequest,
    reply: FastifyReply,
    held: { scope: string; key: string },
    payload: string | null,
  ): Promise<void> {
    const headers: Record<string, string> = {};
    for (const name of keptHeaders) {
      const value = reply.getHeader(name);
      if (value !== undefined) headers[name] = String(value);
    }
    const sealed = await secrets.seal(
      subject(held.scope, held.key),
      JSON.stringify({ headers, body: payload ?? '' }),
    );
    await db.execute(
      'UPDATE idempotency_keys SET status = $3, data_key = $4, box = $5 WHERE scope = $1 AND key = $2',
      [held.scope, held.key, reply.statusCode, sealed.dataKey, sealed.box],
    );
  }
}

function subject(scope: string, key: string): string {
  return `idempotency ${scope} ${key}`;
}
