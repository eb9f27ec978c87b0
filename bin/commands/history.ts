import { defineCommand } from '../command.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';

interface Entry {
  readonly revision: number;
  readonly created_at: string;
  readonly author: string;
  readonly message: string;
  readonly changes: readonly { readonly action: string; readonly kind: string; readonly id: string }[];
}

export const command = defineCommand({
  summary: 'List what the configuration has been, newest first',
  flags: { ...controlFlags, limit: { kind: 'integer', summary: 'How many', default: 20 } },
  async run(values) {
    const page = await callControl<{ data: Entry[] }>(
      findControl(values),
      'GET',
      `/admin/v1/configurations?limit=${Math.min(values.limit, 200)}`,
    );
    if (values.json) console.log(JSON.stringify(page.data));
    else {
      for (const { revision, created_at: time, author, message, changes } of page.data) {
        console.log(`${revision}  ${time}  ${author}  ${message}`);
        for (const { action, kind, id } of changes) console.log(`    ${action} ${kind} ${id}`);
      }
    }
    return 0;
  },
});
