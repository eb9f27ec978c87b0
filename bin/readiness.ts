import { CommandError } from './command.ts';
import type { Endpoints } from './instance.ts';

const timeoutMs = 60_000;
const pauseMs = 20;

/** Waits until the gateway has its registry and the control plane has heard so of every change up to now. */
export async function waitForRegistry(endpoints: Endpoints): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let head: number | null = null;
  for (;;) {
    head ??= await readMetric(`${endpoints.control}/metrics`, 'tollgate_registry_revision');
    const applied = await readMetric(`${endpoints.admin}/metrics`, 'tollgate_registry_applied_revision');
    if (head !== null && applied !== null && applied >= head && (await isReady(endpoints))) return;
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

async function readMetric(url: string, name: string): Promise<number | null> {
  try {
    const text = await (await fetch(url)).text();
    const match = new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+]+)$`, 'm').exec(text);
    return match ? Number(match[1]) : null;
  } catch {
    return null;
  }
}
