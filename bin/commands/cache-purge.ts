import { defineCommand, UsageError } from '../command.ts';
import { callControl } from '../control-client.ts';
import { controlFlags, findControl } from '../instance.ts';

interface Purged {
  /** From a gateway: how many stored responses it was. */
  readonly purged?: number;
  /** From a control plane: how many gateways have been told. */
  readonly gateways?: number;
}

export const command = defineCommand({
  summary: 'Remove stored responses from the caches of all gateways',
  description: `Exactly one of --url, --prefix, --key and --all. With --soft they become stale instead: still good for
validation and for stale-while-revalidate. --control may also be the admin address of one gateway.`,
  flags: {
    url: { kind: 'text', value: 'URL', summary: 'One address, as http://host/path?query' },
    prefix: { kind: 'text', value: 'URL', summary: 'All addresses that begin so' },
    key: { kind: 'text', value: 'KEY', summary: 'A surrogate key (Surrogate-Key, Cache-Tag)' },
    all: { kind: 'boolean', summary: 'Everything' },
    soft: { kind: 'boolean', summary: 'Make stale instead of removing' },
    ...controlFlags,
  },
  async run({ url, prefix, key, all, soft, json, ...rest }) {
    const named = Object.entries({ url, prefix, key }).filter(([, value]) => value !== undefined);
    if (named.length + (all ? 1 : 0) !== 1)
      throw new UsageError('give exactly one of --url, --prefix, --key and --all');
    const body = { ...Object.fromEntries(named), ...(all ? { all: true } : {}), soft };
    const reply = await callControl<Purged>(findControl(rest), 'POST', '/admin/v1/cache/purge', body);
    if (json) console.log(JSON.stringify(reply));
    else if (reply.purged !== undefined) console.log(`${reply.purged} stored responses`);
    else console.log(`${reply.gateways} gateways told`);
  },
});
