import { defineCommand } from '../command.ts';
import { callControl } from '../control-client.ts';
import { printReply } from '../developer-api.ts';
import { controlFlags, findControl } from '../instance.ts';

export const command = defineCommand({
  summary: 'Revoke a key at once',
  operands: ['KEY_ID'],
  flags: {
    reason: { kind: 'text', value: 'TEXT', summary: 'Why, for the audit log' },
    ...controlFlags,
  },
  async run({ reason, json, ...rest }, [keyId = '']) {
    const path = `/api/dev/keys/${encodeURIComponent(keyId)}/revoke`;
    const body = reason === undefined ? {} : { reason };
    printReply(await callControl<object>(findControl(rest), 'POST', path, body), json);
  },
});
