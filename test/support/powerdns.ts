import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually, findFreePort, type RunningProcess, runCommand, startProcess } from './processes.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

/** A private PowerDNS with one zone in SQLite and its HTTP API on. */
export interface TestPowerdns {
  readonly port: number;
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly process: RunningProcess;
  dig(name: string, type: string): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startPowerdns(zone: string): Promise<TestPowerdns> {
  const folder = makeFolder('powerdns');
  const [port, apiPort] = [await findFreePort(), await findFreePort()];
  const apiKey = 'test-api-key';
  writeFileSync(
    join(folder, 'pdns.conf'),
    `launch=gsqlite3
gsqlite3-database=${folder}/zones.sqlite
local-address=127.0.0.1
local-port=${port}
socket-dir=${folder}
api=yes
api-key=${apiKey}
webserver-address=127.0.0.1
webserver-port=${apiPort}
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
`,
  );
  const database = new DatabaseSync(join(folder, 'zones.sqlite'));
  database.exec(readFileSync('/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql', 'utf8'));
  database.close();
  const started = startProcess(requireTool('pdns_server'), [
    ...[`--config-dir=${folder}`, '--guardian=no', '--daemon=no', '--disable-syslog', '--write-pid=no'],
  ]);
  const apiUrl = `http://127.0.0.1:${apiPort}`;
  await eventually(async () => {
    const response = await fetch(`${apiUrl}/api/v1/servers/localhost/zones`, {
      method: 'POST',
      headers: { 'X-API-Key': apiKey, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: `${zone}.`, kind: 'Native', nameservers: [`ns.${zone}.`] }),
    });
    if (response.status !== 201) throw new Error(`PowerDNS answered ${response.status}: ${started.output()}`);
  });
  return {
    port,
    apiUrl,
    apiKey,
    process: started,
    async dig(name, type) {
      const output = await runCommand(requireTool('dig'), [
        ...['@127.0.0.1', '-p', String(port), '+short', '+tries=2', name, type],
      ]);
      return output
        .split('\n')
        .filter((line) => line !== '')
        .sort();
    },
    async stop() {
      await started.stop('SIGKILL');
      removeFolder(folder);
    },
  };
}
