import { createHmac } from 'node:crypto';
import { CommandError } from './command.ts';
import type { DemoKey } from './demo.ts';
import type { Endpoints } from './instance.ts';

const timeoutMs = 60_000;
const pauseMs = 20;

/**
 * Waits until every worker of the gateway has caught up with the control plane and knows the demo key. A gateway that
 * has started from its disk serves before that, but perhaps with the addresses of an earlier run.
 */
export async function waitForRegistry(endpoints: Endpoints, demoKey: DemoKey | null): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  const head = await readHead(endpoints);
  while (
    !(
      (await isReady(endpoints)) &&
      (await hasApplied(endpoints, head)) &&
      (await knowsKey(endpoints, demoKey))
    )
  ) {
    if (performance.now() > deadline) {
      throw new CommandError(`the gateway did not get its registry within ${timeoutMs / 1000} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The revision that the control plane stands at. */
async function readHead({ control }: Endpoints): Promise<number> {
  const text = await (await fetch(`${control}/metrics`)).text();
  return Number(/^tollgate_registry_revision (\d+)$/m.exec(text)?.[1] ?? 0);
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

/** Whether every worker has this revision, and the one that the process has. */
async function hasApplied({ admin }: Endpoints, head: number): Promise<boolean> {
  const { registry } = (await (await fetch(`${admin}/healthz`)).json()) as {
    registry: { revision: number; applied_revision: number };
  };
  return registry.applied_revision >= Math.max(head, registry.revision);
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
