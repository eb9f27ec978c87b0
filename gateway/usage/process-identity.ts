import { readFileSync } from 'node:fs';

/**
 * Names a process so that another one that gets the same number later, as happens at once in containers, is not taken
 * for it: its number and, on Linux, the tick it was started at.
 */
export function identifyProcess(pid: number = process.pid): string {
  const startedAt = readStart(pid);
  return startedAt === null ? String(pid) : `${pid} ${startedAt}`;
}

/** Whether the process of this name still runs. One that has ended and only waits to be reaped does not. */
export function isRunning(identity: string): boolean {
  const [pidText = '', startedAt] = identity.trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  if (startedAt !== undefined) return readStart(pid) === startedAt;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The start time out of `/proc/PID/stat`; null when there is no such process, or no such file system. */
function readStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
