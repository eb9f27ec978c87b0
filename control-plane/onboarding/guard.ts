import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Context } from '../context.ts';
import { ProblemError } from '../http/problem.ts';
import type { WindowDecision, WindowLimit, WindowLimiter } from './limits.ts';
import { digestMasterKey } from './master-key.ts';
import { type ApplicationRow, findApplication } from './queries.ts';
import type { Onboarding } from './settings.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Says who calls and whether they may call so often. */
export class Guard {
  readonly #context: Context;
  readonly #onboarding: Onboarding;
  readonly #limiter: WindowLimiter;

  constructor(context: Context, onboarding: Onboarding, limiter: WindowLimiter) {
    this.#context = context;
    this.#onboarding = onboarding;
    this.#limiter = limiter;
  }

  /** The application whose master key was sent; otherwise a 401 that tells nothing. */
  async authenticate(request: FastifyRequest): Promise<ApplicationRow> {
    const header = request.headers['x-master-key'];
    const digest = digestMasterKey(typeof header === 'string' ? header : undefined);
    const application = digest === null ? undefined : await findApplication(this.#context.db, digest);
    if (!application) {
      throw new ProblemError('credentials_invalid', 'Send a valid master key in X-Master-Key.', undefined, {
        'www-authenticate': 'MasterKey realm="tollgate"',
      });
    }
    return application;
  }

  /** Refuses registrations without the token, where one is configured: 401 when absent, 403 when wrong. */
  checkRegistrationToken(request: FastifyRequest): void {
    const { registrationToken } = this.#onboarding;
    if (registrationToken === null) return;
    const given = request.headers['x-registration-token'];
    if (typeof given !== 'string') {
      throw new ProblemError('credentials_invalid', 'Send the registration token in X-Registration-Token.');
    }
    if (!timingSafeEqual(digest(given), digest(registrationToken))) {
      throw new ProblemError('forbidden', 'The registration token is wrong.');
    }
  }

  /** Counts a call of an address over all endpoints but the status. */
  async limitAddress(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    await this.#take(reply, [
      { subject: `ip:${request.ip}`, limit: this.#onboarding.limits.addressPerHour, windowMs: hourMs },
    ]);
  }

  async limitStart(application: ApplicationRow, reply: FastifyReply): Promise<void> {
    await this.#take(reply, [
      { subject: `start:${application.id}`, limit: this.#onboarding.limits.startPerHour, windowMs: hourMs },
    ]);
  }

  async limitStatus(application: ApplicationRow, reply: FastifyReply): Promise<void> {
    await this.#take(reply, [
      { subject: `status:${application.id}`, limit: this.#onboarding.limits.statusPerHour, windowMs: hourMs },
    ]);
  }

  /** Refuses a provisioning whose uuid has had its share; it is counted by {@link countProvision} once it is done. */
  async checkProvision(uuid: string, reply: FastifyReply): Promise<void> {
    await this.#take(reply, [this.#provisionLimit(uuid)], false);
  }

  async countProvision(uuid: string, reply: FastifyReply): Promise<void> {
    tell(reply, await this.#limiter.take([this.#provisionLimit(uuid)]));
  }

  async showProvision(uuid: string, reply: FastifyReply): Promise<void> {
    const decision = await this.#limiter.take([this.#provisionLimit(uuid)], false);
    tell(reply, decision.admitted ? decision : { ...decision, remaining: 0 });
  }

  #provisionLimit(uuid: string): WindowLimit {
    return { subject: `provision:${uuid}`, limit: this.#onboarding.limits.provisionPerDay, windowMs: dayMs };
  }

  async #take(reply: FastifyReply, limits: readonly WindowLimit[], count = true): Promise<void> {
    const decision = await this.#limiter.take(limits, count);
    tell(reply, decision);
    if (!decision.admitted) throw tooOften(decision.retryAfterMs, 'Too many requests.');
  }
}

function tell(reply: FastifyReply, decision: WindowDecision): void {
  void reply.headers({
    'x-ratelimit-limit': String(decision.limit),
    'x-ratelimit-remaining': String(decision.remaining),
    'x-ratelimit-reset': String(Math.ceil(decision.resetMs / 1000)),
  });
}

/** A 429 that says when to come back. */
export function tooOften(retryAfterMs: number, detail: string): ProblemError {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return new ProblemError('rate_limited', `${detail} Retry in ${seconds} s.`, undefined, {
    'retry-after': String(seconds),
    'x-ratelimit-remaining': '0',
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
