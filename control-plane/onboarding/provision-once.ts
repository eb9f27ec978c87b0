import type { FastifyReply } from 'fastify';
import type { AuditOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { type Guard, tooOften } from './guard.ts';
import { type IssuedCredentials, type Provisioning, ProvisioningFailed } from './provisioning.ts';
import { findOnboarding, type OnboardingRow } from './queries.ts';

const pollMs = 100;
const longestWaitMs = 100_000;

export interface ProvisionResult {
  readonly row: OnboardingRow;
  readonly credentials: IssuedCredentials | null;
  readonly isIdempotent: boolean;
}

/**
 * Answers one call of provisioning: does the work, waits for the one that does it, or finds it done. Only a
 * provisioning that came to its end counts against the limit; after a failed one the next has to wait its backoff.
 */
export async function provisionOnce(
  context: Context,
  provisioning: Provisioning,
  guard: Guard,
  reply: FastifyReply,
  origin: AuditOrigin,
  found: OnboardingRow,
  wanted: { readonly wantsKey: boolean },
): Promise<ProvisionResult> {
  const deadline = performance.now() + longestWaitMs;
  let row = found;
  for (;;) {
    if (isDone(row)) {
      await guard.showProvision(row.uuid, reply);
      return { row, credentials: null, isIdempotent: true };
    }
    const waitMs = (row.next_attempt_at?.getTime() ?? 0) - context.now().getTime();
    if (row.status === 'failed' && waitMs > 0) {
      throw tooOften(waitMs, `Provisioning failed (${row.failure_reason}).`);
    }
    try {
      await guard.checkProvision(row.uuid, reply);
    } catch (error) {
      // What used the limit up may be the very provisioning that this call has been waiting for.
      row = await read(context, row);
      if (isDone(row)) continue;
      throw error;
    }
    const leased = await provisioning.begin(row.uuid, wanted.wantsKey);
    if (leased) {
      const credentials = await work(provisioning, leased, origin);
      await guard.countProvision(row.uuid, reply);
      return { row: await read(context, row), credentials, isIdempotent: false };
    }
    if (performance.now() > deadline) {
      throw tooOften(5000, 'Provisioning is still under way.');
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    row = await read(context, row);
  }
}

function isDone({ status }: OnboardingRow): boolean {
  return status === 'activated' || status === 'completed';
}

async function work(
  provisioning: Provisioning,
  row: OnboardingRow,
  origin: AuditOrigin,
): Promise<IssuedCredentials | null> {
  try {
    return await provisioning.run(row, origin, true);
  } catch (error) {
    if (!(error instanceof ProvisioningFailed)) throw error;
    throw new ProblemError('provisioning_failed', `Provisioning failed (${error.message}).`, undefined, {
      'retry-after': String(Math.ceil(error.retryAfterMs / 1000)),
    });
  }
}

async function read(context: Context, row: OnboardingRow): Promise<OnboardingRow> {
  const current = await findOnboarding(context.db, row.application_id, row.uuid);
  if (!current) throw notFound('onboarding');
  return current;
}
