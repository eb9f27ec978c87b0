import { randomBytes } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort, type RunningProcess, runCommand, startProcess } from './processes.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

/** A private BIND that is authoritative for some zones and takes signed dynamic updates to them. */
export interface TestBind {
  readonly port: number;
  readonly process: RunningProcess;
  readonly keyName: string;
  readonly keySecret: Buffer;
  /** The answers of `dig +short`, one a line, sorted. */
  dig(name: string, type: string): Promise<string[]>;
  stop(): Promise<void>;
}

/** `zones` maps a zone to further lines of its file. */
export async function startBind(zones: Readonly<Record<string, string>>): Promise<TestBind> {
  const folder = makeFolder('bind');
  chmodSync(folder, 0o755);
  const port = await findFreePort();
  const keyName = 'tollgate-key';
  const keySecret = randomBytes(32);
  const blocks = Object.entries(zones).map(([zone, lines]) => {
    const file = join(folder, `${zone}.zone`);
    writeFileSync(
      file,
      `$ORIGIN ${zone}.\n$TTL 60\n@ IN SOA ns.${zone}. admin.${zone}. (1 3600 600 86400 1)\n@ IN NS ns.${zone}.\nns IN A 127.0.0.1\n${lines}\n`,
    );
    return `zone "${zone}" { type primary; file "${file}"; update-policy { grant ${keyName} zonesub ANY; }; };`;
  });
  const file = join(folder, 'named.conf');
  writeFileSync(
    file,
    `key "${keyName}" { algorithm hmac-sha256; secret "${keySecret.toString('base64')}"; };
options {
  directory "${folder}"; pid-file "${folder}/named.pid"; session-keyfile "${folder}/session.key";
  listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
  recursion yes; allow-recursion { 127.0.0.1; }; dnssec-validation no; allow-transfer { none; };
};
controls { };
${blocks.join('\n')}
`,
  );
  const started = startProcess(requireTool('named'), ['-g', '-n', '1', '-c', file]);
  await started.waitFor(/ running$/m);
  return {
    port,
    process: started,
    keyName,
    keySecret,
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
