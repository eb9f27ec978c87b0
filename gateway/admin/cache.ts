import { type Purge, parsePurge } from '#contract/purge.ts';
import { type AdminHandler, readJson, sendJson, sendProblem } from './server.ts';

const maxPurgeBytes = 64 << 10;

/**
 * `POST /admin/v1/cache/purge` with one of `url`, `prefix`, `key` (a surrogate key) and `all: true`, and `soft` to make
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
    const parsed = parsePurge(body.value);
    if (!parsed.ok) sendProblem(response, 'validation_failed', {}, undefined, { errors: parsed.errors });
    else sendJson(response, 200, { purged: await apply(parsed.value), soft: parsed.value.soft });
    return true;
  };
}
