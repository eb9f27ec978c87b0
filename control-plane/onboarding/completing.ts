import { isDeepStrictEqual } from 'node:util';
import type { AuditOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { publish } from './provisioning.ts';
import { type ApplicationRow, changeOnboarding, findOnboarding, type OnboardingRow } from './queries.ts';

export interface Completion {
  readonly tenantId: string;
  readonly metadata: Record<string, unknown>;
}

/** Marks an onboarding as complete. The same completion again changes nothing; another one is a conflict. */
export async function completeOnboarding(
  context: Context,
  origin: AuditOrigin,
  application: ApplicationRow,
  uuid: string,
  completion: Completion,
): Promise<OnboardingRow> {
  return await context.db.transaction(async (tx) => {
    const row = await findOnboarding(tx, application.id, uuid, true);
    if (!row) throw notFound('onboarding');
    if (row.status === 'completed') {
      if (
        row.tenant_id === completion.tenantId &&
        isDeepStrictEqual(row.completion ?? {}, completion.metadata)
      ) {
        return row;
      }
      throw new ProblemError(
        'conflict',
        'The onboarding was completed with another tenant or other metadata.',
      );
    }
    if (row.status !== 'activated') {
      throw new ProblemError('conflict', `The onboarding is ${row.status}; provision it first.`);
    }
    const now = context.now();
    const change = {
      status: 'completed',
      tenant_id: completion.tenantId,
      completion: completion.metadata,
      completed_at: now,
    } as const;
    await changeOnboarding(tx, uuid, change, now);
    await publish(tx, 'onboarding.completed', row, { tenant_id: completion.tenantId });
    await context.audit.record(tx, origin, {
      action: 'onboarding.complete',
      target: { onboarding: uuid, application: application.id },
      after: { tenant_id: completion.tenantId },
    });
    return { ...row, ...change, updated_at: now };
  });
}
