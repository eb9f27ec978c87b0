import { CommandError, defineCommand } from '../command.ts';
import { callControl } from '../control-client.ts';
import { findApp } from '../developer-api.ts';
import { controlFlags, findControl } from '../instance.ts';

interface DayUsage {
  readonly day: string;
  readonly calls: number;
  readonly errors: number;
  readonly avg_latency_ms: number;
}

export const command = defineCommand({
  summary: 'Show the usage of an app by day',
  flags: {
    app: { kind: 'text', value: 'NAME', summary: 'The app, by name or id' },
    days: { kind: 'integer', summary: 'How many days, with today; 30' },
    ...controlFlags,
  },
  async run({ app: nameOrId, days = 30, json, ...rest }) {
    if (nameOrId === undefined) throw new CommandError('--app is missing');
    const control = findControl(rest);
    const found = await findApp(control, nameOrId);
    if (!found) throw new CommandError(`there is no app ${nameOrId}`);
    const path = `/api/dev/apps/${encodeURIComponent(found.app_id)}/usage?days=${days}`;
    const usage = await callControl<DayUsage[]>(control, 'GET', path);
    if (json) {
      console.log(JSON.stringify(usage, null, 2));
      return 0;
    }
    console.log('day         calls       errors      avg ms');
    for (const { day, calls, errors, avg_latency_ms } of usage) {
      console.log(`${day}  ${String(calls).padEnd(10)}  ${String(errors).padEnd(10)}  ${avg_latency_ms}`);
    }
    return 0;
  },
});
