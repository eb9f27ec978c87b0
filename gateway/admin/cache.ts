import { type Purge, purgeSchema } from '#contract/cache.ts';
import { check } from '#contract/validation.ts';
import { type AdminHandler, readJson, sendJson, sendProblem } from './server.ts';

const maxPurgeBytes = 64 << 10;

/**
 * `POST /admin/v1/cache/purge` with one of `url`, `prefix`, `key` (a surrogate key) or `all: true`, and `soft` to make
 * stale rather than remove. Answered `{purged}`, the number of stored responses, once every worker has done it.
 */
export function cacheAdmin(apply: (purge: Purge) => Promise<number>): AdminHandler {
  return async (request, response, path) => {
    if (path !== '/admin/v1/cache/purge') return false;
    if (request.method !== 'POST') {
      sendProblem(response, 'method_not_allowed', { Allow: 'POST' });
      return true;
    }
    const body = await readJson(request, maxPurgeBytes);
    if (!body.ok) {
      sendProblem(response, body.code, {}, body.detail);
      return true;
    }
    const purge = readPurge(body.value);
    const errors =
      purge === null
        ? [{ pointer: '', detail: 'must have exactly one of url, prefix, key and all' }]
        : check(purgeSchema, purge);
    if (purge === null || errors.length > 0)
      sendProblem(response, 'validation_failed', {}, undefined, { errors });
    else sendJson(response, 200, { purged: await apply(purge), soft: purge.soft });
    return true;
  };
}

const kinds = ['url', 'prefix', 'key'] as const;

function readPurge(value: unknown): Purge | null {
  if (typeof value !== 'object' || value === null) return null;
  const { soft = false, all, ...rest } = value as Record<string, unknown>;
  const named = Object.keys(rest);
  if (all === true && named.length === 0) return { kind: 'all', value: '', soft: soft as boolean };
  const kind = kinds.find((name) => name === named[0]);
  if (all !== undefined || kind === undefined || named.length !== 1 || rest[kind] === '') return null;
  return { kind, value: rest[kind] as string, soft: soft as boolean };
}
