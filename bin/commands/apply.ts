import { readFileSync } from 'node:fs';
import { parseDeclaration } from '#contract/declaration.ts';
import { sectionOf, toSections } from '#contract/sections.ts';
import { CommandError, defineCommand } from '../command.ts';
import { describeChange, type ResourceChange } from '../configuration-changes.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';

interface Applied {
  readonly revision: number;
  readonly dry_run: boolean;
  readonly changes: readonly ResourceChange[];
}

export const command = defineCommand({
  summary: 'Make the configuration of a control plane what a file says',
  description: `Everything is checked before anything changes: errors have file, line and path. Resources that the file
does not list stay, unless --prune is given. The section "gateway" is for gateways and left out.`,
  operands: ['FILE'],
  flags: {
    ...controlFlags,
    'dry-run': { kind: 'boolean', summary: 'Show what would change, change nothing' },
    prune: { kind: 'boolean', summary: 'Remove what the file does not list' },
    message: { kind: 'text', value: 'TEXT', summary: 'Kept in the history' },
    'expect-revision': { kind: 'integer', summary: 'Refuse when the configuration is at another revision' },
  },
  async run(values, [file = '']) {
    let text: string;
    try {
      text = readFileSync(file === '-' ? 0 : file, 'utf8');
    } catch (error) {
      throw new CommandError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
    }
    const address = findControl(values);
    const current = await callControl<{ resources: Record<string, { id: string }[]> }>(
      address,
      'GET',
      '/admin/v1/configuration',
    );
    const parsed = parseDeclaration(text, {
      environment: process.env,
      ...(values.prune
        ? {}
        : {
            known: {
              service: idsIn(current.resources, 'service'),
              version: idsIn(current.resources, 'version'),
            },
          }),
    });
    if (!parsed.ok) {
      const lines = parsed.errors.map(
        ({ line, pointer, detail, hint }) =>
          `${file}:${line}: ${pointer === '' ? '' : `${pointer}: `}${detail}${hint ? ` (${hint})` : ''}`,
      );
      throw new CommandError(lines.join('\n'));
    }
    const applied = await callControl<Applied>(address, 'POST', '/admin/v1/configuration:apply', {
      resources: toSections(parsed.value.resources),
      prune: values.prune,
      dry_run: values['dry-run'],
      ...(values.message === undefined ? {} : { message: values.message }),
      ...(values['expect-revision'] === undefined ? {} : { expected_revision: values['expect-revision'] }),
    });
    if (values.json) console.log(JSON.stringify(applied));
    else printApplied(applied);
    return 0;
  },
});

function idsIn(resources: Record<string, { id: string }[]>, kind: 'service' | 'version'): Set<string> {
  return new Set((resources[sectionOf(kind)] ?? []).map(({ id }) => id));
}

/** Prints what changed, or would. */
export function printApplied(applied: Applied): void {
  for (const change of applied.changes) for (const line of describeChange(change)) console.log(line);
  if (applied.changes.length === 0)
    console.log(`nothing to change; the configuration is at revision ${applied.revision}`);
  else if (applied.dry_run)
    console.log(`${applied.changes.length} changes to make on revision ${applied.revision}`);
  else console.log(`the configuration is at revision ${applied.revision}`);
}
