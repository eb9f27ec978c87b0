import { createHash } from 'node:crypto';
import type { Declaration } from '#contract/declaration.ts';
import { systemOrigin } from '../audit/record.ts';
import type { Context } from '../context.ts';
import { applyConfiguration } from './apply.ts';

/**
 * Applies the declaration that the process was started with, unless it is the one that was applied last: what
 * operators changed since then stays. Nothing is removed.
 */
export async function seedDeclaration(context: Context, declaration: Declaration): Promise<void> {
  const digest = createHash('sha256').update(JSON.stringify(declaration.resources)).digest('hex');
  await context.db.transaction(async (tx) => {
    const [last] = await tx.query<{ digest: string }>('SELECT digest FROM declaration_seed FOR UPDATE');
    if (last?.digest === digest) return;
    await tx.execute(
      `INSERT INTO declaration_seed (digest) VALUES ($1)
       ON CONFLICT (one) DO UPDATE SET digest = excluded.digest, seeded_at = now()`,
      [digest],
    );
    await applyConfiguration(tx, context.audit, systemOrigin('start'), {
      wanted: declaration.resources,
      prune: false,
      dryRun: false,
      message: 'Declaration at the start',
      expectedRevision: null,
    });
  });
}
