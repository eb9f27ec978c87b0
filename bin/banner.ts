import { join } from 'node:path';
import { type DemoKey, formatDemoCall } from './demo.ts';
import { type Endpoints, operatorTokenFile } from './instance.ts';

/** What a person sees once everything runs. */
export function formatBanner(dataDir: string, endpoints: Endpoints, demoKey: DemoKey | null): string {
  const call = demoKey
    ? ['Make a payment with the demo key:', '', formatDemoCall(endpoints.gateway, demoKey)]
    : [
        'The demo key is not valid any more. Make another:',
        '',
        'npx tollgate keys create --app demo --env test',
      ];
  return [
    '',
    'Tollgate runs.',
    '',
    `  gateway        ${endpoints.gateway}`,
    ...(endpoints.gateway_tls ? [`  gateway TLS    ${endpoints.gateway_tls}`] : []),
    `  gateway admin  ${endpoints.admin}  (/healthz, /readyz, /metrics)`,
    `  control plane  ${endpoints.control}  (console; API at /openapi.json)`,
    `  sandbox        ${endpoints.sandbox}`,
    `  operator       token in ${join(dataDir, operatorTokenFile)}`,
    '',
    ...call,
    '',
    'Ctrl-C stops it; data stay.',
    '',
  ].join('\n');
}
