import { CommandError } from './command.ts';
import type { ControlAddress } from './instance.ts';

/** Calls the control plane and returns the JSON answer; a refusal becomes one clear line. */
export async function callControl<T>(
  address: ControlAddress,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  let response: Response;
  try {
    response = await fetch(address.url + path, {
      method,
      headers: {
        Authorization: `Bearer ${address.token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
    });
  } catch (error) {
    const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
    throw new CommandError(
      `no control plane answers at ${address.url} (${cause?.code ?? cause?.message ?? message})`,
    );
  }
  const text = await response.text();
  if (!response.ok) throw new CommandError(describeProblem(response.status, text));
  try {
    return JSON.parse(text === '' ? 'null' : text) as T;
  } catch {
    throw new CommandError(`${address.url} is not a Tollgate control plane: it did not answer JSON`);
  }
}

function describeProblem(status: number, text: string): string {
  try {
    const problem = JSON.parse(text) as {
      title?: string;
      detail?: string;
      errors?: { pointer: string; detail: string }[];
    };
    const errors = (problem.errors ?? []).map(({ pointer, detail }) => `\n${pointer}: ${detail}`);
    return `${status} ${problem.title ?? ''}: ${problem.detail ?? ''}${errors.join('')}`;
  } catch {
    return `the control plane answered ${status}`;
  }
}
