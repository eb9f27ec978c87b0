import { dirname } from 'node:path';
import type { Change } from '#contract/registry.ts';
import { type GatewayOverrides, resolveConfig } from '../../gateway/config.ts';
import { startGateway } from '../../gateway/main.ts';
import { parseApiKeys } from '../../gateway/registry/api-keys-variable.ts';
import { CommandError, defineCommand, UsageError } from '../command.ts';
import { readConfiguration } from '../configuration.ts';
import { frontEverything } from '../front-everything.ts';
import { explainListenError, runUntilSignal } from '../lifetime.ts';
import { announceReady } from '../supervision.ts';

const flags = {
  upstream: {
    kind: 'text',
    value: 'URL',
    many: true,
    summary: 'Pass everything on to this origin, without a configuration file',
  },
  open: { kind: 'boolean', summary: 'With --upstream: ask for no keys and set no limits' },
  cache: { kind: 'boolean', summary: 'With --upstream: turn the response cache on' },
  config: { kind: 'text', value: 'FILE', summary: 'Configuration file' },
  listen: { kind: 'port', summary: 'Port for traffic; 0 is any free one; else the configuration, 8080' },
  'tls-port': { kind: 'port', summary: 'Open a TLS listener too, with the certificates of the registry' },
  host: { kind: 'text', value: 'ADDRESS', summary: 'Address for traffic; else the configuration, 0.0.0.0' },
  'admin-port': { kind: 'port', summary: 'Port for health and metrics; else the configuration, 8081' },
  workers: { kind: 'integer', summary: 'Worker threads; else TOLLGATE_WORKERS, one for each core' },
  'data-dir': { kind: 'text', value: 'DIR', summary: 'Where the registry copy and pushed keys are kept' },
  control: { kind: 'text', value: 'URL', summary: 'Control plane to follow; also TOLLGATE_CONTROL_URL' },
  json: { kind: 'boolean', summary: 'Print JSON' },
} as const;

export const command = defineCommand({
  summary: 'Run a gateway',
  description: `With --upstream it stands in front of any service: every path and method goes through unchanged, with
bearer keys from API_KEYS, or with none when --open is given. Else it follows a control plane
(--control, with its token in TOLLGATE_GATEWAY_TOKEN), or runs from a file (--config) and API_KEYS;
SIGHUP reads the file's resources again.`,
  flags,
  async run(values) {
    if (values.upstream.length === 0 && (values.open || values.cache)) {
      throw new UsageError('--open and --cache belong to --upstream');
    }
    if (values.upstream.length > 0 && (values.config !== undefined || values.control !== undefined)) {
      throw new UsageError('--upstream stands alone, without --config and --control');
    }
    const front = values.upstream.length > 0 ? frontEverything(values.upstream, values) : null;
    const env = {
      ...process.env,
      ...(values.control === undefined ? {} : { TOLLGATE_CONTROL_URL: values.control }),
      ...(front ? { TOLLGATE_CONTROL_URL: undefined } : {}),
    };
    const overrides: GatewayOverrides = {
      ...(values.config === undefined ? {} : { configFolder: dirname(values.config) }),
      ...(values.listen === undefined ? {} : { listenPort: values.listen }),
      ...(values.host === undefined ? {} : { listenHost: values.host }),
      ...(values['tls-port'] === undefined ? {} : { tlsPort: values['tls-port'] }),
      ...(values['admin-port'] === undefined ? {} : { adminPort: values['admin-port'] }),
      ...(values.workers === undefined ? {} : { workers: values.workers }),
      ...(values['data-dir'] === undefined ? {} : { dataDir: values['data-dir'] }),
    };
    const configuration = values.config === undefined ? null : readConfiguration(values.config, process.env);
    const resolved = resolveConfig(configuration?.gateway ?? {}, env, overrides);
    const keys = parseApiKeys(process.env.API_KEYS ?? '');
    const errors = [...(resolved.ok ? [] : resolved.errors), ...(keys.ok ? [] : keys.errors)];
    if (!resolved.ok || !keys.ok) throw new CommandError(errors.join('\n'));
    const declared = (resources: readonly Change[]): Change[] => [...resources, ...keys.changes];
    const resources: readonly Change[] = front
      ? [
          { kind: 'service', id: front.service.id, object: front.service },
          { kind: 'route', id: front.route.id, object: front.route },
        ]
      : (configuration?.declaration.resources ?? []);
    const gateway = await explainListenError(startGateway(resolved.config, declared(resources)), 'gateway');
    const { config } = values;
    if (config !== undefined && resolved.config.control === null) {
      process.on('SIGHUP', () => {
        void reload(() =>
          gateway.declare(declared(readConfiguration(config, process.env).declaration.resources)),
        );
      });
    }
    announceReady(
      {
        gateway: gateway.url,
        ...(gateway.tlsUrl ? { gateway_tls: gateway.tlsUrl } : {}),
        ...(gateway.adminUrl ? { admin: gateway.adminUrl } : {}),
      },
      values.json,
    );
    return runUntilSignal(() => gateway.close());
  },
});

/** Puts a changed file in force, or says why it is not. */
async function reload(declare: () => Promise<void>): Promise<void> {
  try {
    await declare();
    console.error('configuration read again');
  } catch (error) {
    console.error(`configuration not changed:\n${(error as Error).message}`);
  }
}
