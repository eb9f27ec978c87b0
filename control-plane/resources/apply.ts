import {
  type DeclaredResource,
  type HintedError,
  parseSections,
  sectionOf,
  toSections,
} from '#contract/sections.ts';
import type { AuditLog, AuditOrigin } from '../audit/record.ts';
import type { Queryable } from '../database/database.ts';
import { ProblemError } from '../http/problem.ts';
import { applyChanges, compareResources, type ResourceChange } from './difference.ts';
import {
  insertConfiguration,
  listUses,
  readConfigurationRevision,
  readResources,
  storeChanges,
} from './queries.ts';

export interface Application {
  readonly wanted: readonly DeclaredResource[];
  /** Remove what is not wanted. */
  readonly prune: boolean;
  readonly dryRun: boolean;
  readonly message: string;
  /** The revision that must be the current one. */
  readonly expectedRevision: number | null;
}

export interface Applied {
  readonly revision: number;
  readonly changes: readonly ResourceChange[];
}

/**
 * Makes the configuration what is wanted, all or nothing, and keeps the new state in the history. Everything is
 * checked before anything changes.
 */
export async function applyConfiguration(
  tx: Queryable,
  audit: AuditLog,
  origin: AuditOrigin,
  application: Application,
): Promise<Applied> {
  const revision = await readConfigurationRevision(tx, true);
  if (application.expectedRevision !== null && application.expectedRevision !== revision) {
    throw new ProblemError(
      'precondition_failed',
      `The configuration is at revision ${revision}, not at ${application.expectedRevision}.`,
    );
  }
  const current = await readResources(tx);
  const changes = compareResources(current, application.wanted, application.prune);
  const next = applyChanges(current, changes);
  await checkWhole(tx, next, await readResources(tx, 'system'), changes);
  if (application.dryRun || changes.length === 0) return { revision, changes };
  await storeChanges(tx, changes);
  const summary = changes.map(({ action, kind, id }) => ({ action, kind, id }));
  await insertConfiguration(tx, {
    revision: revision + 1,
    author: origin.actor,
    message: application.message,
    changes: summary,
    sections: toSections(next),
  });
  await audit.record(tx, origin, {
    action: 'configuration.apply',
    target: { revision: revision + 1 },
    before: changes.map(({ kind, id, before }) => ({ kind, id, object: before })),
    after: changes.map(({ kind, id, after }) => ({ kind, id, object: after })),
  });
  return { revision: revision + 1, changes };
}

/** Checks the configuration as it would be: references between all resources, and from apps and keys. */
async function checkWhole(
  tx: Queryable,
  next: readonly DeclaredResource[],
  system: readonly DeclaredResource[],
  changes: readonly ResourceChange[],
): Promise<void> {
  const sections = toSections([...next, ...system]);
  const parsed = parseSections(sections);
  const errors: HintedError[] = parsed.ok ? [] : parsed.errors.map((error) => named(sections, error));
  const removed = changes.filter(({ action }) => action === 'delete');
  if (removed.some(({ kind }) => kind === 'plan' || kind === 'version')) {
    for (const use of await listUses(tx)) {
      if (removed.some(({ kind, id }) => kind === use.kind && id === use.id)) {
        errors.push({
          pointer: `/${sectionOf(use.kind)}`,
          detail: `${use.kind} ${use.id} is used by ${use.app}`,
        });
      }
    }
  }
  if (errors.length > 0) throw new ProblemError('validation_failed', undefined, { errors });
}

/** An error with the id of the resource in place of its index, which only the server knows. */
function named(sections: Readonly<Record<string, readonly unknown[]>>, error: HintedError): HintedError {
  const [, section = '', index = '', ...rest] = error.pointer.split('/');
  const id = (sections[section]?.[Number(index)] as { id?: string } | undefined)?.id;
  return id === undefined ? error : { ...error, pointer: `/${[section, id, ...rest].join('/')}` };
}
