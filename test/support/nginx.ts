import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort, type RunningProcess, startProcess } from './processes.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';
import { requireTool } from './tools.ts';

export interface TestNginx {
  readonly url: string;
  readonly port: number;
  readonly process: RunningProcess;
  readonly folder: string;
  stop(): Promise<void>;
}

export interface TestNginxOptions {
  /** The inside of `server { listen …; }`. */
  readonly server: string;
  /** What stands beside `server`, for example an `upstream` block. */
  readonly http?: string;
  readonly workers?: number;
}

/** Starts Debian's nginx with one server on a free port of 127.0.0.1. */
export async function startNginx(options: TestNginxOptions): Promise<TestNginx> {
  const folder = makeFolder('nginx');
  const port = await findFreePort();
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    file,
    `daemon off;
pid ${folder}/nginx.pid;
error_log stderr notice;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes ${options.workers ?? 1};
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000;
${temporary.map((name) => `  ${name}_temp_path ${folder}/${name};`).join('\n')}
${options.http ?? ''}
  server {
    listen 127.0.0.1:${port};
${options.server}
  }
}
`,
  );
  const started = startProcess(requireTool('nginx'), ['-e', 'stderr', '-p', folder, '-c', file]);
  await started.waitFor(/start worker process \d+/);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    process: started,
    folder,
    async stop() {
      await started.stop('SIGTERM');
      removeFolder(folder);
    },
  };
}
