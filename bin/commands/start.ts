import { join, resolve } from 'node:path';
import { startSandbox } from '../../sandbox/main.ts';
import { formatBanner } from '../banner.ts';
import { defineCommand } from '../command.ts';
import { readConfiguration } from '../configuration.ts';
import { openDataFolder, removeEndpoints, writeEndpoints } from '../data-folder.ts';
import { provideDemoKey } from '../demo.ts';
import { lockFolder } from '../folder-lock.ts';
import { defaultDataDir, type Endpoints } from '../instance.ts';
import { explainListenError, findFreePort, runUntilSignal } from '../lifetime.ts';
import { waitForRegistry } from '../readiness.ts';
import { type Supervised, supervise } from '../supervision.ts';

const packagedConfig = join(import.meta.dirname, '../../tollgate.yaml');

export const command = defineCommand({
  summary: 'Run everything on this machine: gateway, control plane and sandbox',
  description: `Each plane is a process of its own: one that ends unasked is started again, and the gateway goes on while
the control plane is away. DATABASE_URL puts the data into PostgreSQL, REDIS_URL the limits into Redis.`,
  flags: {
    'data-dir': { kind: 'text', value: 'DIR', summary: 'Where data are kept', default: defaultDataDir },
    'gateway-port': { kind: 'port', summary: 'Port for traffic', default: 8080 },
    'tls-port': { kind: 'port', summary: 'Port for traffic over TLS, where tenants are served; else none' },
    'admin-port': { kind: 'port', summary: "Port for the gateway's health and metrics", default: 8081 },
    'control-port': { kind: 'port', summary: 'Port of the control plane', default: 8140 },
    'sandbox-port': { kind: 'port', summary: 'Port of the sandbox', default: 8150 },
    config: {
      kind: 'text',
      value: 'FILE',
      summary: 'Configuration file; else the tollgate.yaml of the project',
    },
    json: { kind: 'boolean', summary: 'Print the addresses as JSON, and everything else to standard error' },
  },
  async run(values) {
    const folder = openDataFolder(values['data-dir']);
    await lockFolder(folder.path);
    removeEndpoints(folder.path);
    const config = resolve(values.config ?? packagedConfig);
    const sandbox = await explainListenError(startSandbox({ port: values['sandbox-port'] }), 'sandbox');
    const env = {
      ...process.env,
      SANDBOX_URL: process.env.SANDBOX_URL ?? sandbox.url,
      TOLLGATE_OPERATOR_TOKEN: folder.operatorToken,
      TOLLGATE_GATEWAY_TOKEN: folder.gatewayToken,
      TOLLGATE_KEY_FILE: join(folder.path, 'local.key'),
      // Compiled code is kept for the next start, which takes half as long with it.
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(folder.path, 'compiled'),
    };
    // What is wrong with the file is told before anything starts.
    readConfiguration(config, env);

    const output = values.json ? 2 : 1;
    const report = (line: string): void => console.error(`tollgate: ${line}`);
    const planes: Supervised[] = [];
    const stop = async (): Promise<void> => {
      removeEndpoints(folder.path);
      for (const plane of planes.reverse()) await plane.stop();
      await sandbox.close();
    };
    try {
      // Both planes start at once, so the gateway is told beforehand where the control plane will be.
      const controlPort = values['control-port'] || (await findFreePort());
      const control = supervise({
        name: 'control plane',
        args: () => [
          ...['control-plane', '--embedded', '--data-dir', folder.path, '--config', config],
          ...['--port', String(controlPort)],
        ],
        env,
        output,
        report,
      });
      const gateway = supervise({
        name: 'gateway',
        args: (urls) => [
          ...['gateway', '--data-dir', join(folder.path, 'gateway'), '--config', config],
          ...['--control', `http://127.0.0.1:${controlPort}`],
          ...['--listen', urls === null ? String(values['gateway-port']) : portOf(urls.gateway)],
          ...tlsFlag(urls === null ? values['tls-port'] : urls.gateway_tls && portOf(urls.gateway_tls)),
          ...['--admin-port', urls === null ? String(values['admin-port']) : portOf(urls.admin)],
        ],
        env,
        output,
        report,
      });
      planes.push(control, gateway);
      const [{ control: controlUrl = '' }, { gateway: gatewayUrl = '', gateway_tls: tlsUrl, admin = '' }] =
        await Promise.all([control.ready, gateway.ready]);
      const endpoints: Endpoints = {
        gateway: gatewayUrl,
        admin,
        control: controlUrl,
        sandbox: sandbox.url,
        ...(tlsUrl ? { gateway_tls: tlsUrl } : {}),
      };
      const demoKey = await provideDemoKey(folder.path, { url: controlUrl, token: folder.operatorToken });
      await waitForRegistry(endpoints, demoKey);
      writeEndpoints(folder.path, endpoints);
      console.log(values.json ? JSON.stringify(endpoints) : formatBanner(folder.path, endpoints, demoKey));
    } catch (error) {
      await stop();
      throw error;
    }
    return runUntilSignal(stop);
  },
});

function portOf(url: string | undefined): string {
  return new URL(url ?? '').port;
}

function tlsFlag(port: number | string | undefined): string[] {
  return port === undefined ? [] : ['--tls-port', String(port)];
}
