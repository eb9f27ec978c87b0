import { defineCommand } from '../command.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';

interface Rewrapped {
  readonly provider: string;
  readonly data_keys: number;
  readonly secrets: number;
  readonly new_data_key: string | null;
}

export const command = defineCommand({
  summary: 'Wrap all data keys anew with the current key provider',
  description: `Do so after the provider's key has a new version, or to move to another provider. Keys go on working, and an
interrupted run is finished by the next.`,
  flags: {
    ...controlFlags,
    'new-data-key': { kind: 'boolean', summary: 'Also make a new data key and seal all secrets under it' },
  },
  async run(values) {
    const done = await callControl<Rewrapped>(findControl(values), 'POST', '/admin/v1/secrets/rewrap', {
      new_data_key: values['new-data-key'],
    });
    if (values.json) console.log(JSON.stringify(done));
    else {
      console.log(`${done.data_keys} data keys wrapped by ${done.provider}`);
      if (done.new_data_key) console.log(`${done.secrets} secrets sealed under ${done.new_data_key}`);
    }
    return 0;
  },
});
