/** The gateway of `bench/auth.ts`: the whole process with one route for each way to authenticate. */
import { resolveConfig } from '../../gateway/config.ts';
import { startGateway } from '../../gateway/main.ts';
import type { AuthGatewayOptions } from '../auth.ts';

const { upstream, issuer, keyFile, accessLog, changes } = JSON.parse(
  process.env.AUTH_GATEWAY!,
) as AuthGatewayOptions;
const resolved = resolveConfig(
  { issuers: [{ issuer }], accessLog },
  {},
  { listenHost: '127.0.0.1', listenPort: 0, adminPort: 0, workers: 1, keyFile },
);
if (!resolved.ok) throw new Error(resolved.errors.join('\n'));
const ways = { none: 'none', bearer: ['bearer'], hmac: ['hmac'], jwt: ['jwt'] } as const;
const gateway = await startGateway(resolved.config, [
  { kind: 'service', id: 's', object: { id: 's', targets: { live: [{ url: upstream }] } } },
  ...Object.entries(ways).map(([id, accept]) => ({
    kind: 'route' as const,
    id,
    object: {
      id,
      service: 's',
      path: `/${id}`,
      applyPlan: false,
      authentication: accept === 'none' ? accept : { accept: [...accept] },
    },
  })),
  ...changes,
]);
console.log(JSON.stringify({ url: gateway.url }));
