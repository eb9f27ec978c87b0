import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { CommandError, defineCommand } from '../command.ts';
import { controlFlags, findControl } from '../instance.ts';

interface Refusal {
  readonly detail?: string;
  readonly errors?: readonly { readonly line?: number; readonly pointer: string; readonly detail: string }[];
}

export const command = defineCommand({
  summary: 'Import hashed keys from NDJSON or CSV',
  description: `NDJSON has one object a line: {"key_id", "sha256", "environment", "app", "name", "expires_at", "scopes", "plan",
"quota": {"burst_limit", …}}; CSV has a header with the same names. Secrets may be given in place of their SHA-256
("secret"): they are hashed on arrival. Importing a file again is safe.`,
  operands: ['FILE'],
  flags: {
    ...controlFlags,
    format: { kind: 'text', choices: ['ndjson', 'csv'], summary: 'Else by the name of the file' },
  },
  async run(values, [file = '']) {
    const format = values.format ?? (/\.csv$/i.test(file) ? 'csv' : 'ndjson');
    if (file !== '-') {
      await stat(file).catch((error: NodeJS.ErrnoException) => {
        throw new CommandError(`cannot read ${file}: ${error.code}`);
      });
    }
    const { url, token } = findControl(values);
    const startedAt = performance.now();
    const input = file === '-' ? process.stdin : createReadStream(file);
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': format === 'csv' ? 'text/csv' : 'application/x-ndjson',
      },
      body: Readable.toWeb(input) as ReadableStream,
      duplex: 'half',
    };
    const response = await fetch(`${url}/admin/v1/keys:import`, init).catch((error: Error) => {
      throw new CommandError(`no control plane answers at ${url} (${error.message})`);
    });
    const body = (await response.json()) as { imported?: number } & Refusal;
    if (!response.ok) {
      const lines = (body.errors ?? []).map(
        ({ line, pointer, detail }) =>
          `${file}:${line ?? 0}: ${pointer === '' ? '' : `${pointer}: `}${detail}`,
      );
      throw new CommandError(
        [...lines, body.detail ?? `the control plane answered ${response.status}`].join('\n'),
      );
    }
    const seconds = (performance.now() - startedAt) / 1000;
    if (values.json) console.log(JSON.stringify({ imported: body.imported, seconds }));
    else {
      const rate = Math.round((body.imported ?? 0) / seconds);
      console.log(`${body.imported} keys imported in ${seconds.toFixed(1)} s (${rate} a second)`);
    }
    return 0;
  },
});
