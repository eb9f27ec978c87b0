import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import {
  issueFromAuthority,
  makeAuthority,
} from '../../control-plane/onboarding/certificates/local-authority.ts';
import { eventually, findFreePort, type RunningProcess, startProcess } from './processes.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

/** A private Pebble, the ACME test authority, which looks challenges up at one DNS server. */
export interface TestPebble {
  readonly directoryUrl: string;
  /** PEM file of the root that its own HTTPS is signed with. */
  readonly caFile: string;
  /** The root that it signs certificates with, PEM. */
  readonly issuingRoot: string;
  readonly process: RunningProcess;
  stop(): Promise<void>;
}

export async function startPebble(dnsPort: number): Promise<TestPebble> {
  const folder = makeFolder('pebble');
  const [port, managementPort] = [await findFreePort(), await findFreePort()];
  const authority = await makeAuthority('Pebble test root', Date.now());
  const server = await issueFromAuthority(authority, ['localhost'], 30, Date.now());
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const caFile = file('ca.pem', authority.certificate);
  const config = file(
    'pebble.json',
    JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${port}`,
        managementListenAddress: `127.0.0.1:${managementPort}`,
        certificate: file('server.pem', server.certificate),
        privateKey: file('server.key', server.key),
        httpPort: await findFreePort(),
        tlsPort: await findFreePort(),
        ocspResponderURL: '',
        externalAccountBindingRequired: false,
      },
    }),
  );
  const started = startProcess(
    requireTool('pebble'),
    ['-config', config, '-dnsserver', `127.0.0.1:${dnsPort}`, '-strict'],
    { env: { PATH: process.env.PATH, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '5' } },
  );
  const issuingRoot = await eventually(() =>
    readText(`https://localhost:${managementPort}/roots/0`, authority.certificate),
  );
  return {
    directoryUrl: `https://localhost:${port}/dir`,
    caFile,
    issuingRoot,
    process: started,
    async stop() {
      await started.stop('SIGKILL');
      removeFolder(folder);
    },
  };
}

function readText(url: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request(
      url,
      {
        ca,
        lookup: (_name, options, found) =>
          found(null, [{ address: '127.0.0.1', family: 4 }] as never, options as never),
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
      },
    )
      .on('error', reject)
      .end();
  });
}
