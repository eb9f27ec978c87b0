/** The gateway of `bench/emission.ts`: the whole process with one worker and one open route. */
import type { Change } from '#contract/registry.ts';
import { resolveConfig } from '../../gateway/config.ts';
import { startGateway } from '../../gateway/main.ts';

const { transport, upstream, port, folder } = JSON.parse(process.env.EMISSION_GATEWAY!) as {
  transport: 'none' | 'http';
  upstream: string;
  port: number;
  folder: string;
};
const resolved = resolveConfig(
  { accessLog: 'off' },
  {},
  { listenHost: '127.0.0.1', listenPort: 0, adminPort: 0, workers: 1, dataDir: folder },
);
if (!resolved.ok) throw new Error(resolved.errors.join('\n'));
const usage =
  transport === 'none'
    ? null
    : {
        gateway: 'bench',
        transport: { kind: 'http', url: `http://127.0.0.1:${port}`, token: 'token' },
        spool: { directory: `${folder}/usage` },
        flushIntervalMs: 500,
        clientAddress: 'truncated',
        addressHashKey: '',
        countryHeader: null,
        countryDatabase: null,
        drainTimeoutMs: 1000,
      };
const objects = [
  { kind: 'service', id: 's', object: { id: 's', targets: { live: [{ url: upstream }] } } },
  {
    kind: 'route',
    id: 'r',
    object: { id: 'r', service: 's', path: '/v1', applyPlan: false, authentication: 'none' },
  },
] as const satisfies readonly Change[];
const gateway = await startGateway({ ...resolved.config, usage } as typeof resolved.config, objects);
console.log(JSON.stringify({ url: gateway.url }));
process.once('SIGTERM', () => void gateway.close().then(() => process.exit(0)));
