import { CommandError, defineCommand, UsageError } from '../command.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';

interface Verification {
  readonly valid: boolean;
  readonly entries: number;
  readonly head: { readonly id: number; readonly hash: string };
  readonly problems: readonly { readonly id: number; readonly problem: string }[];
}

const words: Readonly<Record<string, string>> = {
  changed: 'was changed',
  gap: 'follows a gap',
  reordered: 'does not follow the entry before it',
  missing_end: 'is missing at the end',
};

export const command = defineCommand({
  summary: 'Verify that the audit log is whole',
  description: `Recomputes the hash chain and finds any change, gap or reordering. Note the head that is printed and give it
the next time as --head: then a past that was rewritten whole shows too.`,
  flags: { ...controlFlags, head: { kind: 'text', value: 'ID:HASH', summary: 'A head noted earlier' } },
  async run(values) {
    let query = '';
    if (values.head !== undefined) {
      const [, id, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(values.head) ?? [];
      if (!id) throw new UsageError('--head must be ID:HASH');
      query = `?head_id=${id}&head_hash=${hash}`;
    }
    const path = `/admin/v1/audit/verification${query}`;
    const verified = await callControl<Verification>(findControl(values), 'GET', path);
    if (values.json) console.log(JSON.stringify(verified));
    else console.log(`${verified.entries} entries, head ${verified.head.id}:${verified.head.hash}`);
    if (verified.valid) return 0;
    throw new CommandError(
      verified.problems.map(({ id, problem }) => `audit entry ${id} ${words[problem] ?? problem}`).join('\n'),
    );
  },
});
