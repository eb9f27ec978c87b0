import { defineCommand } from '../command.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';

export const command = defineCommand({
  summary: 'Print a developer token of the built-in issuer, in the embedded mode',
  flags: {
    account: { kind: 'text', value: 'EMAIL', summary: 'Account, made when there is none', required: true },
    'lifetime-seconds': { kind: 'integer', summary: 'How long it is valid; else twelve hours' },
    ...controlFlags,
  },
  async run({ account, 'lifetime-seconds': lifetimeSeconds, json, ...rest }) {
    const reply = await callControl<{ token: string }>(findControl(rest), 'POST', '/admin/v1/dev-tokens', {
      account,
      ...(lifetimeSeconds === undefined ? {} : { lifetime_seconds: lifetimeSeconds }),
    });
    console.log(json ? JSON.stringify(reply, null, 2) : reply.token);
  },
});
