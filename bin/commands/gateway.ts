import type { Change } from '#contract/registry.ts';
import { type GatewayOverrides, resolveConfig } from '../../gateway/config.ts';
import { startGateway } from '../../gateway/main.ts';
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
(--control, with its token in TOLLGATE_GATEWAY_TOKEN), or runs from a file (--config).`,
  flags,
  async run(values) {
    if (values.upstream.length === 0 && (values.open || values.cache)) {
      throw new UsageError('--open and --cache belong to --upstream');
    }
    if (values.upstream.length > 0 && (values.config !== undefined || values.control !== undefined)) {
      throw new UsageError('--upstream stands alone, without --config and --control');
    }
    const front = values.upstream.length > 0 ? frontEverything(values.upstream, values) : null;
    const env =
      values.control === undefined ? process.env : { ...process.env, TOLLGATE_CONTROL_URL: values.control };
    const overrides: GatewayOverrides = {
      ...(values.listen === undefined ? {} : { listenPort: values.listen }),
      ...(values.host === undefined ? {} : { listenHost: values.host }),
      ...(values['admin-port'] === undefined ? {} : { adminPort: values['admin-port'] }),
      ...(values.workers === undefined ? {} : { workers: values.workers }),
      ...(values['data-dir'] === undefined ? {} : { dataDir: values['data-dir'] }),
    };
    const configuration = values.config === undefined ? null : readConfiguration(values.config, process.env);
    const resolved = resolveConfig(configuration?.gateway ?? {}, env, overrides);
    if (!resolved.ok) throw new CommandError(resolved.errors.join('\n'));
    const declared: Change[] = front
      ? [
          { kind: 'service', id: front.service.id, object: front.service },
          { kind: 'route', id: front.route.id, object: front.route },
        ]
      : [];
    const gateway = await explainListenError(startGateway(resolved.config, declared), 'gateway');
    announceReady(
      { gateway: gateway.url, ...(gateway.adminUrl ? { admin: gateway.adminUrl } : {}) },
      values.json,
    );
    return runUntilSignal(() => gateway.close());
  },
});
