import { defineCommand } from '../command.ts';
import { demoAccount } from '../demo.ts';
import { createApp, createKey, findApp, printReply } from '../developer-api.ts';
import { controlFlags, findControl } from '../instance.ts';

export const command = defineCommand({
  summary: 'Create a key; its secret is shown this once',
  description: `An app of that name is made when there is none. The secret of an api_key signs requests, that of a
bearer key is sent itself.`,
  flags: {
    app: { kind: 'text', value: 'NAME', summary: 'Name or id of the app', required: true },
    env: { kind: 'text', choices: ['test', 'live'], summary: 'Environment', required: true },
    kind: { kind: 'text', choices: ['api_key', 'bearer'], summary: 'Kind of key', default: 'api_key' },
    name: { kind: 'text', value: 'NAME', summary: 'What to call the key', default: '' },
    account: {
      kind: 'text',
      value: 'EMAIL',
      summary: `Account of an app that is made, as operator; else ${demoAccount}`,
    },
    ...controlFlags,
  },
  async run({ app: nameOrId, env, kind, name, account, json, ...rest }) {
    const control = findControl(rest);
    const app =
      (await findApp(control, nameOrId)) ?? (await createApp(control, nameOrId, account ?? demoAccount));
    printReply(await createKey(control, app.app_id, { environment: env, key_type: kind, name }), json);
  },
});
