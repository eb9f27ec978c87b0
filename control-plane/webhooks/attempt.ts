import { Webhook } from 'standardwebhooks';
import { type Agent, request } from 'undici';
import { createAddressCheck, refuseLiteral } from './addresses.ts';
import { createEgressAgent } from './egress.ts';
import { parseRetryAfter } from './schedule.ts';

export interface AttemptTarget {
  readonly url: string;
  /** Those that sign, newest first (`whsec_…`). */
  readonly secrets: readonly string[];
}

export interface AttemptOutcome {
  /** Null: no answer. */
  readonly status: number | null;
  readonly error: string | null;
  readonly durationMs: number;
  readonly requestExcerpt: string;
  readonly responseExcerpt: string | null;
  readonly retryAfterMs: number | null;
}

interface AttemptOptions {
  readonly agent: Agent;
  readonly mayConnect: (address: string) => boolean;
  readonly timeoutMs: number;
  readonly now: () => Date;
}

export interface Attempts {
  attempt(target: AttemptTarget, messageId: string, body: string): Promise<AttemptOutcome>;
  close(): Promise<void>;
}

const excerptBytes = 2048;

/**
 * Posts one message, signed as Standard Webhooks says: `webhook-id` stays the same over all attempts, the signature
 * has one part for each secret. Redirects are not followed. Never throws.
 */
async function attempt(
  target: AttemptTarget,
  messageId: string,
  body: string,
  options: AttemptOptions,
): Promise<AttemptOutcome> {
  const now = options.now();
  const startedAt = performance.now();
  const outcome = (
    rest: Pick<AttemptOutcome, 'status' | 'error' | 'responseExcerpt' | 'retryAfterMs'>,
  ): AttemptOutcome => ({
    ...rest,
    durationMs: Math.round((performance.now() - startedAt) * 10) / 10,
    requestExcerpt: body.slice(0, excerptBytes),
  });
  try {
    refuseLiteral(new URL(target.url), options.mayConnect);
    const signature = target.secrets
      .map((secret) => new Webhook(secret).sign(messageId, now, body))
      .join(' ');
    const response = await request(target.url, {
      method: 'POST',
      dispatcher: options.agent,
      signal: AbortSignal.timeout(options.timeoutMs),
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Tollgate-Webhooks/1',
        'webhook-id': messageId,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': signature,
      },
      body,
    });
    const retryAfter = response.headers['retry-after'];
    const excerpt = await readExcerpt(response.body);
    return outcome({
      status: response.statusCode,
      error: null,
      responseExcerpt: excerpt,
      retryAfterMs: parseRetryAfter(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, now.getTime()),
    });
  } catch (error) {
    const { message, code, name } = error as Error & { code?: string };
    const told = name === 'TimeoutError' ? `no answer in ${options.timeoutMs} ms` : message || code || name;
    return outcome({ status: null, error: told.slice(0, 500), responseExcerpt: null, retryAfterMs: null });
  }
}

/** The beginning of a body; the rest is not read. */
async function readExcerpt(body: AsyncIterable<Buffer> & { destroy(): unknown }): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body) {
    pieces.push(piece);
    size += piece.length;
    if (size >= excerptBytes) {
      body.destroy();
      break;
    }
  }
  return Buffer.concat(pieces).subarray(0, excerptBytes).toString().replaceAll('\0', '');
}

/** Makes attempts through connections that reach allowed networks only. */
export function createAttempts(
  allowedNetworks: readonly string[],
  timeoutMs: number,
  now: () => Date,
): Attempts {
  const agent = createEgressAgent(allowedNetworks, timeoutMs);
  const mayConnect = createAddressCheck(allowedNetworks);
  return {
    attempt: (target, messageId, body) =>
      attempt(target, messageId, body, { agent, mayConnect, timeoutMs, now }),
    close: () => agent.destroy(),
  };
}
