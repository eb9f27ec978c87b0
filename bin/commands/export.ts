import { formatDeclaration } from '#contract/declaration.ts';
import { parseSections } from '#contract/sections.ts';
import { CommandError, defineCommand } from '../command.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';

export const command = defineCommand({
  summary: 'Print the configuration of a control plane as a file for apply',
  flags: {
    ...controlFlags,
    revision: { kind: 'integer', summary: 'An earlier revision; else the current one' },
  },
  async run(values) {
    const path =
      values.revision === undefined
        ? '/admin/v1/configuration'
        : `/admin/v1/configurations/${values.revision}`;
    const state = await callControl<{ revision: number; resources: Record<string, unknown> }>(
      findControl(values),
      'GET',
      path,
    );
    if (values.json) {
      console.log(JSON.stringify(state));
      return 0;
    }
    const parsed = parseSections(state.resources);
    if (!parsed.ok)
      throw new CommandError('the control plane answered with a configuration this program does not know');
    process.stdout.write(formatDeclaration(parsed.value));
    return 0;
  },
});
