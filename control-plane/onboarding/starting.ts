import { randomBytes, randomUUID } from 'node:crypto';
import type { AuditOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import { isUniqueViolation } from '../database/database.ts';
import { invalid } from '../http/problem.ts';
import { publish } from './provisioning.ts';
import { type ApplicationRow, findOnboarding, insertOnboarding, type OnboardingRow } from './queries.ts';
import { deriveSubdomain, proposeSubdomains, randomSuffix } from './subdomain.ts';

export interface StartRequest {
  readonly email: string;
  readonly organizationName: string | null;
  readonly customDomain: string | null;
}

const maxTries = 50;

/** Registers a future tenant under a subdomain of its own. Parallel calls with one name get different subdomains. */
export async function startOnboarding(
  context: Context,
  origin: AuditOrigin,
  application: ApplicationRow,
  wanted: StartRequest,
): Promise<OnboardingRow> {
  const name = wanted.organizationName?.trim() ?? '';
  const organizationName = name === '' ? `Organisation ${randomSuffix(randomBytes(6))}` : name;
  const proposals = proposeSubdomains(name === '' ? null : deriveSubdomain(name), randomBytes);
  const uuid = randomUUID();
  for (let tries = 0; tries < maxTries; tries++) {
    const subdomain = proposals.next().value;
    const row = await context.db
      .transaction(async (tx) => {
        const inserted = await insertOnboarding(
          tx,
          {
            uuid,
            application_id: application.id,
            email: wanted.email,
            organization_name: organizationName,
            subdomain,
            custom_domain: wanted.customDomain,
          },
          context.now(),
        );
        if (!inserted) return null;
        const made = (await findOnboarding(tx, application.id, uuid))!;
        await publish(tx, 'onboarding.started', made);
        await context.audit.record(tx, origin, {
          action: 'onboarding.start',
          target: { onboarding: uuid, application: application.id },
          after: { subdomain },
        });
        return made;
      })
      .catch((error: unknown) => {
        if (!isUniqueViolation(error)) throw error;
        throw invalid([{ pointer: '/custom_domain', detail: 'belongs to another onboarding' }]);
      });
    if (row) return row;
  }
  throw new Error('no free subdomain was found');
}
