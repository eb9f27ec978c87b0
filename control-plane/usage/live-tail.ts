import type { App, Context } from '../context.ts';
import type { Queryable } from '../database/database.ts';
import { problemReplies } from '../http/openapi.ts';
import { ProblemError } from '../http/problem.ts';
import { requireApp } from './analytics-routes.ts';
import { appParams, forDevelopers } from './schema.ts';

const pollMs = 1000;
/** How far back late events are looked for. */
const windowMs = 30_000;
const maxEventsInPoll = 200;
const maxTails = 100;

export interface TailEvent {
  readonly place: string;
  readonly occurred_at: Date;
  readonly request_id: string;
  readonly key_id: string | null;
  readonly environment: string | null;
  readonly version: string | null;
  readonly method: string;
  readonly endpoint: string;
  readonly status_code: number;
  readonly latency_ms: number;
  readonly cache_state: string | null;
  readonly limit_outcome: string | null;
  readonly country: string | null;
}

async function readTail(db: Queryable, appId: string, since: Date): Promise<TailEvent[]> {
  return await db.query<TailEvent>(
    `SELECT tableoid::text || ctid::text AS place, occurred_at, request_id, key_id, environment,
       api_version AS version, method, endpoint, status_code, latency_ms, cache_state, limit_outcome, country
     FROM api_usage_events WHERE app_id = $1 AND occurred_at > $2 ORDER BY occurred_at DESC LIMIT $3`,
    [appId, since, maxEventsInPoll],
  );
}

/** Follows the requests of one app: each call gives those that have become known since the last, oldest first. */
export class Tail {
  readonly #db: Queryable;
  readonly #appId: string;
  readonly #startedAt: number;
  /** Rows already given, by their place in the table, which never changes. */
  #given = new Map<string, number>();

  constructor(db: Queryable, appId: string, startedAt: number) {
    this.#db = db;
    this.#appId = appId;
    this.#startedAt = startedAt;
  }

  async next(now: number): Promise<TailEvent[]> {
    const since = Math.max(this.#startedAt, now - windowMs);
    const rows = await readTail(this.#db, this.#appId, new Date(since));
    const fresh = rows.filter((row) => !this.#given.has(row.place)).reverse();
    for (const row of fresh) this.#given.set(row.place, row.occurred_at.getTime());
    for (const [place, time] of this.#given) if (time < since) this.#given.delete(place);
    return fresh;
  }
}

/** `GET /api/dev/apps/:appId/usage/live`: server-sent events, one for each request of the app. */
export function addLiveTail(app: App, context: Context): void {
  const { db, auth, now } = context;
  const stops = new Set<() => void>();
  context.onClose(() => {
    for (const stop of stops) stop();
  });
  app.get(
    '/api/dev/apps/:appId/usage/live',
    {
      onRequest: auth.developer,
      schema: {
        operationId: 'tailUsage',
        tags: ['developer'],
        security: forDevelopers,
        summary: 'Requests of the app as they happen (text/event-stream)',
        description: `Events named \`request\`; at most ${maxEventsInPoll} a second, the newest. Bodies, headers and queries are not in them.`,
        params: appParams,
        response: { ...problemReplies('credentials_invalid', 'forbidden', 'not_found', 'overloaded') },
      },
    },
    async (request, reply) => {
      await requireApp(context, request, request.params.appId);
      if (stops.size >= maxTails) throw new ProblemError('overloaded');
      reply.hijack();
      const { raw } = reply;
      raw.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      });
      raw.write(': following\n\n');
      const tail = new Tail(db, request.params.appId, now().getTime() - pollMs);
      let polling = false;
      let silentPolls = 0;
      const timer = setInterval(async () => {
        // A client that does not read gets nothing more to buffer.
        if (polling || raw.writableNeedDrain) return;
        polling = true;
        try {
          const events = await tail.next(now().getTime());
          for (const event of events)
            raw.write(`event: request\ndata: ${JSON.stringify(present(event))}\n\n`);
          silentPolls = events.length > 0 ? 0 : silentPolls + 1;
          if (silentPolls % 15 === 14) raw.write(': still here\n\n');
        } catch (error) {
          request.log.error({ err: error }, 'live tail');
          stop();
        }
        polling = false;
      }, pollMs);
      const stop = (): void => {
        clearInterval(timer);
        stops.delete(stop);
        raw.end();
      };
      stops.add(stop);
      raw.on('close', stop);
    },
  );
}

function present({ place: _, occurred_at: time, latency_ms: latency, ...event }: TailEvent) {
  return { occurred_at: time.toISOString(), ...event, latency_ms: Math.round(latency * 10) / 10 };
}
