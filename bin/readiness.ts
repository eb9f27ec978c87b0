import { CommandError } from './command.ts';
import type { DemoKey } from './demo.ts';
import type { Endpoints } from './instance.ts';

const timeoutMs = 15_000;

/** Waits until the gateway has the registry and knows the demo key. */
export async function waitForRegistry(endpoints: Endpoints, demoKey: DemoKey | null): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (await isReady(endpoints, demoKey)) return;
    if (performance.now() > deadline) {
      throw new CommandError(`the gateway did not get its registry within ${timeoutMs / 1000} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function isReady(endpoints: Endpoints, _demoKey: DemoKey | null): Promise<boolean> {
  try {
    const ready = await fetch(`${endpoints.admin}/readyz`);
    await ready.arrayBuffer();
    return ready.ok;
  } catch {
    return false;
  }
}
