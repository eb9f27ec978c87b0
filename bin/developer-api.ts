import { CommandError } from './command.ts';
import { callControl } from './control-client.ts';
import type { ControlAddress } from './instance.ts';

/** The part of the control plane's API that commands use. */

export interface App {
  readonly app_id: string;
  readonly name: string;
}

export interface Key {
  readonly key_id: string;
  readonly app_id: string | null;
  readonly kind: string;
  readonly environment: string;
  readonly name: string;
  readonly status: string;
  readonly expires_at: string | null;
}

export interface IssuedKey extends Key {
  readonly secret: string;
}

interface Page<T> {
  readonly data: readonly T[];
  readonly next_cursor: string | null;
}

/** All entries of a list, page by page. */
async function listAll<T>(control: ControlAddress, path: string): Promise<T[]> {
  const entries: T[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '?limit=100' : `?limit=100&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<T> = await callControl<Page<T>>(control, 'GET', path + query);
    entries.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return entries;
}

export function listApps(control: ControlAddress): Promise<App[]> {
  return listAll(control, '/api/dev/apps');
}

export function listKeys(control: ControlAddress, appId: string): Promise<Key[]> {
  return listAll(control, `/api/dev/apps/${encodeURIComponent(appId)}/keys`);
}

/** The app of this id or name, or undefined. Throws when several have the name. */
export async function findApp(control: ControlAddress, nameOrId: string): Promise<App | undefined> {
  const apps = await listApps(control);
  const byId = apps.find((app) => app.app_id === nameOrId);
  if (byId) return byId;
  const named = apps.filter((app) => app.name === nameOrId);
  if (named.length > 1) {
    const ids = named.map((app) => app.app_id).join(', ');
    throw new CommandError(`${named.length} apps are named ${nameOrId}; give one of their ids: ${ids}`);
  }
  return named[0];
}

/** `account` is an e-mail address; only operators may name one. */
export function createApp(control: ControlAddress, name: string, account: string | undefined): Promise<App> {
  return callControl(control, 'POST', '/api/dev/apps', {
    name,
    ...(account === undefined ? {} : { account }),
  });
}

export function createKey(
  control: ControlAddress,
  appId: string,
  key: { environment: string; key_type: string; name: string },
): Promise<IssuedKey> {
  return callControl(control, 'POST', `/api/dev/apps/${encodeURIComponent(appId)}/keys`, key);
}

export function getKey(control: ControlAddress, keyId: string): Promise<Key> {
  return callControl(control, 'GET', `/api/dev/keys/${encodeURIComponent(keyId)}`);
}

/** Prints a reply: as JSON, or its members one a line, those without a value left out. */
export function printReply(reply: object, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(reply, null, 2));
    return;
  }
  const rows = Object.entries(reply).filter(
    ([, value]) => value !== null && value !== '' && typeof value !== 'object',
  );
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
}
