import { createHmac } from 'node:crypto';
import { CommandError } from './command.ts';
import type { DemoKey } from './demo.ts';
import type { Endpoints } from './instance.ts';

const timeoutMs = 60_000;
const pauseMs = 20;

/** Waits until the gateway has its registry and knows the demo key. */
export async function waitForRegistry(endpoints: Endpoints, demoKey: DemoKey | null): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  // One worker that knows the key tells that the process has it; then every worker has to have caught up.
  while (!((await isReady(endpoints)) && (await knowsKey(endpoints, demoKey)) && (await isEven(endpoints)))) {
    if (performance.now() > deadline) {
      throw new CommandError(`the gateway did not get its registry within ${timeoutMs / 1000} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function isReady({ admin }: Endpoints): Promise<boolean> {
  try {
    const response = await fetch(`${admin}/readyz`);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** Whether every worker has the revision that the process has. */
async function isEven({ admin }: Endpoints): Promise<boolean> {
  const health = (await (await fetch(`${admin}/healthz`)).json()) as {
    registry?: { revision: number; applied_revision: number };
  };
  return health.registry === undefined || health.registry.revision === health.registry.applied_revision;
}

/** Asks with the key for a route that the demo configuration has; without the route nothing can be told. */
async function knowsKey({ gateway }: Endpoints, key: DemoKey | null): Promise<boolean> {
  if (!key) return true;
  const signature = createHmac('sha256', key.secret).update('').digest('hex');
  const response = await fetch(`${gateway}/v1/api/auth/ping`, {
    headers: { 'X-API-Key': `${key.key_id}:${signature}`, Connection: 'close' },
  });
  await response.arrayBuffer();
  return response.status !== 401;
}
