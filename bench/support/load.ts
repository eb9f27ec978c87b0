import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../test/support/processes.ts';
import { makeFolder, removeFolder } from '../../test/support/temporary-folder.ts';
import { requireTool } from '../../test/support/tools.ts';

export interface LoadRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface LoadOptions {
  readonly connections: number;
  readonly seconds: number;
  /** The core that the load generator is pinned to. */
  readonly core: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers other than 2xx and 3xx, and socket errors. */
  readonly errors: number;
}

/** Sends one request over and over with wrk. */
export async function runLoad(request: LoadRequest, options: LoadOptions): Promise<LoadResult> {
  const folder = makeFolder('wrk');
  const script = join(folder, 'request.lua');
  const headers = Object.entries(request.headers).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = [==[${value}]==]`,
  );
  writeFileSync(
    script,
    `wrk.method = ${JSON.stringify(request.method)}
wrk.body = ${request.body === '' ? 'nil' : `[==[${request.body}]==]`}
${headers.join('\n')}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT %d %d %d %d %d\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`,
  );
  const output = await runCommand('taskset', [
    ...['-c', String(options.core), requireTool('wrk'), '-t1', `-c${options.connections}`],
    ...[`-d${options.seconds}s`, '--latency', '-s', script, request.url],
  ]);
  removeFolder(folder);
  const match = /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$/m.exec(output);
  if (!match) throw new Error(`wrk said:\n${output}`);
  const [requests = 0, durationUs = 0, p50Us = 0, p99Us = 0, errors = 0] = match.slice(1).map(Number);
  return {
    requests,
    requestsPerSecond: requests / (durationUs / 1e6),
    p50Ms: p50Us / 1000,
    p99Ms: p99Us / 1000,
    errors,
  };
}
