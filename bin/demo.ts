import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApp, createKey, findApp, getKey } from './developer-api.ts';
import type { ControlAddress } from './instance.ts';

export const demoAccount = 'demo@example.com';
const demoApp = 'demo';
const file = 'demo.json';

/** The `test` key that the first start makes, so that a newcomer can call at once. */
export interface DemoKey {
  readonly key_id: string;
  readonly secret: string;
}

/** The demo key of this data folder, made when there is none; null when it has been revoked or has expired. */
export async function provideDemoKey(dataDir: string, control: ControlAddress): Promise<DemoKey | null> {
  const path = join(dataDir, file);
  const known = readDemoKey(path);
  if (known) {
    const status = await getKey(control, known.key_id).then(
      (key) => key.status,
      () => 'gone',
    );
    return status === 'active' ? known : null;
  }
  const app = (await findApp(control, demoApp)) ?? (await createApp(control, demoApp, demoAccount));
  const { key_id, secret } = await createKey(control, app.app_id, {
    environment: 'test',
    key_type: 'api_key',
    name: 'demo',
  });
  writeFileSync(path, `${JSON.stringify({ key_id, secret })}\n`, { mode: 0o600 });
  return { key_id, secret };
}

function readDemoKey(path: string): DemoKey | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as DemoKey;
  } catch {
    return null;
  }
}

/** A command line that makes a payment with this key; the shell computes the signature. */
export function formatDemoCall(gateway: string, key: DemoKey): string {
  return `BODY='{"amount":1000,"currency":"XOF"}'; curl -i ${gateway}/v1/payments -H 'Content-Type: application/json' \\
  -H "X-API-Key: ${key.key_id}:$(printf %s "$BODY" | openssl dgst -sha256 -hmac ${key.secret} -r | cut -d' ' -f1)" \\
  -d "$BODY"`;
}
