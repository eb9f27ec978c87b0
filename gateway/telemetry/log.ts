import { type Logger, pino } from 'pino';

/** Logs of the process itself (start, stop, registry, faults), as JSON lines on standard error. */
export function createLog(level = process.env.TOLLGATE_LOG_LEVEL ?? 'info'): Logger {
  return pino({ level, base: { pid: process.pid } }, pino.destination({ dest: 2, sync: true }));
}
