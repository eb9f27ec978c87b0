import { defineCommand, UsageError } from '../command.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';
import { printApplied } from './apply.ts';

export const command = defineCommand({
  summary: 'Make the configuration what it was at a revision',
  operands: ['REVISION'],
  flags: {
    ...controlFlags,
    'dry-run': { kind: 'boolean', summary: 'Show what would change, change nothing' },
    message: { kind: 'text', value: 'TEXT', summary: 'Kept in the history' },
  },
  async run(values, [revision = '']) {
    if (!/^[1-9]\d{0,14}$/.test(revision))
      throw new UsageError(`REVISION must be a number, not ${JSON.stringify(revision)}`);
    const applied = await callControl<Parameters<typeof printApplied>[0]>(
      findControl(values),
      'POST',
      `/admin/v1/configurations/${revision}/rollback`,
      { dry_run: values['dry-run'], ...(values.message === undefined ? {} : { message: values.message }) },
    );
    if (values.json) console.log(JSON.stringify(applied));
    else printApplied(applied);
    return 0;
  },
});
