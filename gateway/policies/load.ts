import { pathToFileURL } from 'node:url';
import { type Policy, policyPlaces } from './policy.ts';

/** A policy's file that cannot be used; says which and why. */
export class PolicyFileError extends Error {
  override name = 'PolicyFileError';
}

/**
 * Loads policies from their files, absolute paths. Another `generation` loads the files as they are now; modules that
 * they import are loaded once.
 */
export async function loadPolicies(
  files: readonly string[],
  generation: number,
): Promise<ReadonlyMap<string, Policy>> {
  const policies = new Map<string, Policy>();
  for (const file of files) {
    let loaded: { default?: unknown };
    try {
      loaded = (await import(`${pathToFileURL(file).href}?generation=${generation}`)) as {
        default?: unknown;
      };
    } catch (error) {
      throw new PolicyFileError(`${file}: ${(error as Error).message}`);
    }
    const policy = loaded.default;
    const problem = whatIsWrong(policy);
    if (problem !== null) throw new PolicyFileError(`${file}: ${problem}`);
    const { name } = policy as Policy;
    if (policies.has(name)) throw new PolicyFileError(`${file}: there is another policy named ${name}`);
    policies.set(name, policy as Policy);
  }
  return policies;
}

function whatIsWrong(policy: unknown): string | null {
  if (typeof policy !== 'object' || policy === null) return 'has no default export made with definePolicy';
  const { name, schema, place, create } = policy as Partial<Policy>;
  if (typeof name !== 'string' || !/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(name))
    return 'its name is not a name';
  if (typeof schema !== 'object' || schema === null) return 'it has no schema';
  if (!policyPlaces.includes(place!)) return `its place is none of ${policyPlaces.join(', ')}`;
  return typeof create === 'function' ? null : 'it has no create function';
}
