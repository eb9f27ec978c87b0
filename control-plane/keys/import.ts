import type { Readable } from 'node:stream';
import Type from 'typebox';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { ProblemError } from '../http/problem.ts';
import { type ImportLine, parseCsvHeader, parseCsvLine, parseJsonLine, splitLines } from './import-lines.ts';
import { type PushedKey, putKeys } from './store-many.ts';

const batchSize = 5000;
const maxErrors = 100;

interface LineError {
  readonly line: number;
  readonly pointer: string;
  readonly detail: string;
}

/**
 * Many hashed keys at once, as NDJSON or CSV, in batches that are committed as they come. A wrong line ends the
 * import before its batch; importing again is safe, as every key is set whole.
 */
export const keyImport: Feature = (app, context) => {
  const { db, audit, auth } = context;

  void app.register(async (scope) => {
    scope.addContentTypeParser(['application/x-ndjson', 'text/csv'], (_request, payload, done) =>
      done(null, payload),
    );
    scope.post(
      '/admin/v1/keys::import',
      {
        onRequest: auth.operator,
        bodyLimit: 8 * 2 ** 30,
        schema: {
          operationId: 'importKeys',
          tags: ['operator'],
          security: callers.operator,
          summary: 'Import hashed keys',
          description:
            'Lines of JSON (`application/x-ndjson`), each as the body of `PUT /admin/v1/keys/{keyId}` with its `key_id`, or CSV with a header (`text/csv`). Committed in batches of 5,000.',
          response: {
            200: Type.Object({ imported: Type.Integer() }),
            ...problemReplies(
              'invalid_parameter',
              'credentials_invalid',
              'forbidden',
              'media_type_unsupported',
              'validation_failed',
            ),
          },
        },
      },
      async (request) => {
        const type = request.headers['content-type'] ?? '';
        if (!/^(?:text\/csv|application\/x-ndjson)(?:;|$)/.test(type)) {
          throw new ProblemError('media_type_unsupported', 'Send application/x-ndjson or text/csv.');
        }
        const origin = originOf(request);
        let imported = 0;
        const store = async (batch: Map<string, PushedKey>): Promise<void> => {
          if (batch.size === 0) return;
          await db.transaction(async (tx) => {
            await putKeys(tx, [...batch.values()]);
            await audit.record(tx, origin, {
              action: 'key.import',
              target: { first: batch.keys().next().value },
              after: { keys: batch.size },
            });
          });
          imported += batch.size;
        };
        const errors: LineError[] = [];
        await readBatches(request.body as Readable, type.startsWith('text/csv'), store, errors);
        if (errors.length > 0) {
          throw new ProblemError(
            'validation_failed',
            `${imported} keys were imported before the first error.`,
            { imported, errors },
          );
        }
        return { imported };
      },
    );
  });
};

/** Reads and stores batch by batch; while one is stored, the next is parsed. */
async function readBatches(
  body: Readable,
  csv: boolean,
  store: (batch: Map<string, PushedKey>) => Promise<void>,
  errors: LineError[],
): Promise<void> {
  let number = 0;
  let header: ReturnType<typeof parseCsvHeader> | null = null;
  let batch = new Map<string, PushedKey>();
  let storing: Promise<void> = Promise.resolve();
  const note = (parsed: Extract<ImportLine, { ok: false }>): void => {
    for (const error of parsed.errors) if (errors.length < maxErrors) errors.push({ line: number, ...error });
  };
  try {
    for await (const lines of splitLines(body)) {
      for (const line of lines) {
        number++;
        if (line === '') continue;
        if (csv && header === null) {
          header = parseCsvHeader(line);
          if (typeof header[0] === 'object') note({ ok: false, errors: header as never });
          continue;
        }
        const parsed = csv ? parseCsvLine(line, header as never) : parseJsonLine(line);
        if (!parsed.ok) note(parsed);
        else if (errors.length === 0) batch.set(parsed.key.id, parsed);
        if (errors.length >= maxErrors) break;
      }
      if (errors.length > 0 && (errors.length >= maxErrors || typeof header?.[0] === 'object')) break;
      if (batch.size >= batchSize && errors.length === 0) {
        await storing;
        storing = store(batch);
        storing.catch(() => {});
        batch = new Map();
      }
    }
  } finally {
    await storing;
  }
  if (errors.length === 0) await store(batch);
}
