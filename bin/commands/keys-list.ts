import { CommandError, defineCommand } from '../command.ts';
import { findApp, listApps, listKeys } from '../developer-api.ts';
import { controlFlags, findControl } from '../instance.ts';

export const command = defineCommand({
  summary: 'List keys',
  flags: {
    app: { kind: 'text', value: 'NAME', summary: 'Only those of this app, by name or id' },
    ...controlFlags,
  },
  async run({ app: nameOrId, json, ...rest }) {
    const control = findControl(rest);
    const found = nameOrId === undefined ? undefined : await findApp(control, nameOrId);
    if (nameOrId !== undefined && !found) throw new CommandError(`there is no app ${nameOrId}`);
    const apps = found ? [found] : await listApps(control);
    const keys = (
      await Promise.all(
        apps.map(async ({ app_id, name }) =>
          (await listKeys(control, app_id)).map((key) => ({ app_name: name, ...key })),
        ),
      )
    ).flat();
    if (json) {
      console.log(JSON.stringify(keys, null, 2));
      return 0;
    }
    for (const { key_id, app_name, kind, environment, status, expires_at, name } of keys) {
      console.log(
        [key_id, app_name, kind, environment, status, expires_at ?? 'never', name].join('  ').trimEnd(),
      );
    }
    return 0;
  },
});
