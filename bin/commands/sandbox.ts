import { startSandbox } from '../../sandbox/main.ts';
import { defineCommand } from '../command.ts';
import { explainListenError, runUntilSignal } from '../lifetime.ts';
import { announceReady } from '../supervision.ts';

export const command = defineCommand({
  summary: 'Run the simulated payments API that test keys reach',
  flags: {
    port: { kind: 'port', summary: 'Port of 127.0.0.1; 0 is any free one', default: 8150 },
    json: { kind: 'boolean', summary: 'Print JSON' },
  },
  async run({ port, json }) {
    const sandbox = await explainListenError(startSandbox({ port }), 'sandbox');
    announceReady({ sandbox: sandbox.url }, json);
    return runUntilSignal(() => sandbox.close());
  },
});
