import { join } from 'node:path';
import { type RunningProcess, startProcess } from './processes.ts';

const script = join(import.meta.dirname, '../../bin/tollgate.mjs');

/** Runs the `tollgate` command with this environment and no other settings of the shell. */
export function startTollgate(
  args: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): RunningProcess {
  return startProcess(process.execPath, [script, ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
}

/** Runs the command to its end. `output` is both streams. */
export async function runTollgate(
  args: readonly string[],
  options: Parameters<typeof startTollgate>[1] = {},
): Promise<{ code: number | null; stdout: string; output: string }> {
  const started = startTollgate(args, options);
  const { code } = await started.ended;
  return { code, stdout: started.stdout(), output: started.output() };
}
