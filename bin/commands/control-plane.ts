import { pino } from 'pino';
import { ConfigError, readEnvironment } from '../../control-plane/config.ts';
import { startControlPlane } from '../../control-plane/main.ts';
import { CommandError, defineCommand } from '../command.ts';
import { readConfiguration } from '../configuration.ts';
import { openDataFolder } from '../data-folder.ts';
import { lockFolder } from '../folder-lock.ts';
import { explainListenError, runUntilSignal } from '../lifetime.ts';
import { announceReady } from '../supervision.ts';

export const command = defineCommand({
  summary: 'Run the control plane',
  description: `With --data-dir the folder holds the embedded database, unless DATABASE_URL names a PostgreSQL, and the
operator's token, unless TOLLGATE_OPERATOR_TOKEN is set.`,
  flags: {
    port: { kind: 'port', summary: 'Port; 0 is any free one; else PORT, 8140' },
    host: { kind: 'text', value: 'ADDRESS', summary: 'Address to listen on; else HOST, 127.0.0.1' },
    'data-dir': { kind: 'text', value: 'DIR', summary: 'Data folder; else TOLLGATE_DATA_DIR' },
    config: { kind: 'text', value: 'FILE', summary: 'Configuration whose services, routes, … are applied' },
    embedded: { kind: 'boolean', summary: 'Allow the built-in issuer of developer tokens' },
    json: { kind: 'boolean', summary: 'Print JSON' },
  },
  async run({ port, host, 'data-dir': dataDir, config, embedded, json }) {
    const env = { ...process.env };
    if (dataDir !== undefined) {
      const folder = openDataFolder(dataDir);
      await lockFolder(`${folder.path}#control-plane`);
      env.TOLLGATE_DATA_DIR = folder.path;
      env.TOLLGATE_OPERATOR_TOKEN ??= folder.operatorToken;
      env.TOLLGATE_GATEWAY_TOKEN ??= folder.gatewayToken;
    }
    const configuration = config === undefined ? null : readConfiguration(config, process.env);
    try {
      const plane = await startControlPlane({
        ...readEnvironment(env),
        ...(port === undefined ? {} : { port }),
        ...(host === undefined ? {} : { host }),
        embedded,
        declaration: configuration?.declaration ?? null,
        onboarding: configuration?.onboarding ?? {},
        logger: pino({ base: { plane: 'control' }, level: process.env.TOLLGATE_LOG_LEVEL ?? 'info' }),
      });
      announceReady({ control: plane.url }, json);
      return await runUntilSignal(() => plane.close());
    } catch (error) {
      if (error instanceof ConfigError) throw new CommandError(error.errors.join('\n'));
      return explainListenError(Promise.reject(error), 'control plane');
    }
  },
});
