/**
 * A gateway process for benchmarks, with keys that no file may declare. `node policy-gateway.ts SETUP.json`; SETUP has
 * `changes` (registry objects) and `settings` (environment variables); prints `{"gateway": URL}` when it listens.
 */
import { readFileSync } from 'node:fs';
import type { Change } from '#contract/registry.ts';
import { resolveConfig } from '../../gateway/config.ts';
import { startGateway } from '../../gateway/main.ts';
import { resolveUsage } from '../../gateway/usage/config.ts';

export interface PolicyGatewaySetup {
  readonly changes: readonly Change[];
  readonly dataDir: string;
  readonly keyFile: string | null;
  readonly accessLog: string;
  /** Where usage batches are posted; null records none. */
  readonly usageUrl: string | null;
}

const setup = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as PolicyGatewaySetup;
const { dataDir, accessLog, keyFile, usageUrl } = setup;
const resolved = resolveConfig(
  {},
  {},
  {
    ...{ listenHost: '127.0.0.1', listenPort: 0, adminPort: 0, workers: 1, dataDir, accessLog },
    ...(keyFile === null ? {} : { keyFile }),
  },
);
if (!resolved.ok) throw new Error(resolved.errors.join('\n'));
const surroundings = { dataDir, redisUrl: null };
const usage =
  usageUrl === null
    ? null
    : resolveUsage(
        { transport: 'http' },
        {},
        { ...surroundings, control: { url: usageUrl, token: 'x' } },
        [],
      );
const gateway = await startGateway({ ...resolved.config, usage }, setup.changes);
console.log(JSON.stringify({ gateway: gateway.url }));
process.on('SIGTERM', () => void gateway.close().then(() => process.exit(0)));
