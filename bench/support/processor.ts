import { readdirSync, readFileSync } from 'node:fs';
import { runCommand } from '../../test/support/processes.ts';

const ticksPerSecond = Number((await runCommand('getconf', ['CLK_TCK'])).trim());

/** CPU time of a process, all threads, user and system, in microseconds (`/proc/PID/stat`). */
export function readCpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6;
}

/** A process and all that it started. */
export function listTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      return readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').match(/\d+/g) ?? [];
    } catch {
      return [];
    }
  });
  return [pid, ...children.flatMap((child) => listTree(Number(child)))];
}

/** Pins a running process, all its threads and all that it started, to one core. */
export async function pin(pid: number, core: number): Promise<void> {
  for (const id of listTree(pid)) await runCommand('taskset', ['-a', '-c', '-p', String(core), String(id)]);
}

/** Resident memory in MiB. */
export function readMemoryMib(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0) / 1024;
}
