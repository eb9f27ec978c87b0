#!/usr/bin/env node
// Plain JavaScript that any Node runs: it finds the Node that Tollgate is pinned to and hands over to tollgate.ts.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./tollgate.ts', import.meta.url));
if (Number(process.versions.node.split('.')[0]) >= 26) {
  await import(script);
} else {
  const node = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));
  if (!existsSync(node)) {
    console.error(
      `tollgate: needs Node.js 26, this is ${process.version}; run "npm ci" first, which brings it`,
    );
    process.exit(1);
  }
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`tollgate: cannot run ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal) process.removeAllListeners(signal);
    if (signal) process.kill(process.pid, signal);
    else process.exit(code ?? 1);
  });
}
