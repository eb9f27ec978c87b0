import { createHash, createHmac, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { mintKeyId, mintSecret } from '#contract/keys.ts';
import type { Change, Key } from '#contract/registry.ts';
import { mintLocalKey, parseLocalKey, sealSecret, wrapDataKey } from '#contract/sealing.ts';
import { type RunningProcess, startProcess } from '../../test/support/processes.ts';
import { makeFolder } from '../../test/support/temporary-folder.ts';
import type { PolicyGatewaySetup } from './policy-gateway.ts';

export interface PolicyGateway {
  readonly process: RunningProcess;
  readonly url: string;
  /** Value of Authorization for the bearer key. */
  readonly bearer: string;
  /** The same for a key whose bucket is empty. */
  readonly exhausted: string;
  /** Value of X-API-Key that signs this body. */
  sign(body: string): string;
}

/** Takes usage batches and forgets them. */
export async function startUsageSink(): Promise<string> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.end('{}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

/** A gateway in front of `upstream` without any policy, or with everything a paid API has. */
export async function startPolicyGateway(upstream: string, usageUrl: string | null): Promise<PolicyGateway> {
  const folder = makeFolder('policy-gateway');
  const rootText = mintLocalKey();
  const dataKey = randomBytes(32);
  const bearer = mintSecret('live', randomBytes(32));
  const exhausted = mintSecret('live', randomBytes(32));
  const secret = mintSecret('live', randomBytes(32));
  const hmacId = mintKeyId('live', randomBytes(16));
  const key = (id: string, more: Partial<Key>): Key =>
    ({ id, environment: 'live', status: 'active', app: 'app', kind: 'bearer', ...more }) as Key;
  const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
  const open = usageUrl === null;
  const objects: { kind: Change['kind']; object: { id: string } }[] = [
    { kind: 'service', object: { id: 'payments', targets: { live: [{ url: upstream }] } } as never },
    {
      kind: 'route',
      object: {
        ...{ id: 'all', service: 'payments', path: '/' },
        ...(open ? { authentication: 'none', applyPlan: false } : {}),
      } as never,
    },
  ];
  if (!open) {
    const plan = {
      id: 'large',
      limits: [
        { kind: 'token_bucket', name: 'burst', capacity: 1e9, refill: 1e9, intervalMs: 60_000 },
        { kind: 'quota', name: 'daily', limit: 1e12, period: 'day' },
      ],
    };
    const wrapped = wrapDataKey(parseLocalKey(rootText)!, 'dk1', dataKey);
    const box = sealSecret(dataKey, hmacId, secret);
    objects.push(
      { kind: 'plan', object: plan as never },
      { kind: 'app', object: { id: 'app', account: 'account', name: 'App', plan: 'large' } as never },
      { kind: 'data_key', object: { id: 'dk1', provider: 'local', wrapped } as never },
      { kind: 'key', object: key('ak_live_bearer00000000000', { secrets: [{ sha256: digest(bearer) }] }) },
      {
        kind: 'key',
        object: key('ak_live_exhausted0000000', {
          secrets: [{ sha256: digest(exhausted) }],
          quota: { burst: 1, sustainedPerMinute: 1 },
        }),
      },
      { kind: 'key', object: key(hmacId, { kind: 'api_key', secrets: [{ dataKey: 'dk1', box }] }) },
    );
  }
  const keyFile = join(folder, 'root.key');
  writeFileSync(keyFile, rootText, { mode: 0o600 });
  const setup: PolicyGatewaySetup = {
    changes: objects.map(({ kind, object }) => ({ kind, id: object.id, object })) as unknown as Change[],
    dataDir: join(folder, 'data'),
    keyFile: open ? null : keyFile,
    accessLog: open ? 'off' : join(folder, 'access.log'),
    usageUrl,
  };
  const file = join(folder, 'setup.json');
  writeFileSync(file, JSON.stringify(setup));
  const script = join(import.meta.dirname, 'policy-gateway.ts');
  const started = startProcess(process.execPath, [script, file]);
  const { gateway } = JSON.parse((await started.waitFor(/^\{"gateway".*$/m))[0]) as { gateway: string };
  return {
    process: started,
    url: gateway,
    bearer: `Bearer ${bearer}`,
    exhausted: `Bearer ${exhausted}`,
    sign: (body) => `${hmacId}:${createHmac('sha256', secret).update(body).digest('hex')}`,
  };
}
