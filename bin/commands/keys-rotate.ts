import { defineCommand } from '../command.ts';
import { callControl } from '../control-client.ts';
import { printReply } from '../developer-api.ts';
import { controlFlags, findControl } from '../instance.ts';

export const command = defineCommand({
  summary: 'Give a key a new secret; the old one stays valid for a while',
  operands: ['KEY_ID'],
  flags: {
    'grace-seconds': {
      kind: 'count',
      summary: 'How long the old secret stays valid, 0 not at all; else seven days',
    },
    ...controlFlags,
  },
  async run({ 'grace-seconds': graceSeconds, json, ...rest }, [keyId = '']) {
    const body = graceSeconds === undefined ? {} : { grace_seconds: graceSeconds };
    const path = `/api/dev/keys/${encodeURIComponent(keyId)}/rotate`;
    printReply(await callControl<object>(findControl(rest), 'POST', path, body), json);
  },
});
