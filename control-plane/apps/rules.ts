import type { FieldError } from '#contract/problems.ts';
import type { Queryable } from '../database/database.ts';
import { invalid } from '../http/problem.ts';
import { listVersions, planExists } from './queries.ts';

/** Refuses a version or plan that does not exist. */
export async function checkReferences(
  db: Queryable,
  wanted: { version?: string | null | undefined; plan?: string | null | undefined },
): Promise<void> {
  const errors: FieldError[] = [];
  if (wanted.version) {
    const versions = await listVersions(db);
    if (!versions.includes(wanted.version)) {
      const known = versions.length > 0 ? `; there are ${versions.join(', ')}` : '; there are none';
      errors.push({
        pointer: '/version',
        detail: `there is no version ${JSON.stringify(wanted.version)}${known}`,
      });
    }
  }
  if (wanted.plan && !(await planExists(db, wanted.plan))) {
    errors.push({ pointer: '/plan', detail: `there is no plan ${JSON.stringify(wanted.plan)}` });
  }
  if (errors.length > 0) throw invalid(errors);
}
