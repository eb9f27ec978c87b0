import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

/** Prints each failure where it happens, one line for each file, and the closing counts of Node's test runner. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts = new Map<string, { passed: number; failed: number; skipped: number; durationMs: number }>();
  const countsOf = (file: string) => {
    let found = counts.get(file);
    if (!found) {
      found = { passed: 0, failed: 0, skipped: 0, durationMs: 0 };
      counts.set(file, found);
    }
    return found;
  };
  const failures: string[] = [];
  for await (const event of source) {
    switch (event.type) {
      case 'test:pass':
      case 'test:fail': {
        const { file = '', name, details, line, skip } = event.data;
        const found = countsOf(file);
        if (event.data.nesting === 0) found.durationMs += details.duration_ms;
        if (details.type === 'suite') break;
        if (skip !== undefined && skip !== false) found.skipped++;
        else if (event.type === 'test:pass') found.passed++;
        else {
          found.failed++;
          const text = `✖ ${shorten(file)}${line === undefined ? '' : `:${line}`} ${name}\n${indent(describe('error' in details ? details.error : null))}\n`;
          failures.push(text);
        }
        break;
      }
      case 'test:summary': {
        const { file } = event.data;
        if (file === undefined) break;
        const { passed, failed, skipped, durationMs } = countsOf(file);
        const extra = `${failed > 0 ? `, ${failed} failed` : ''}${skipped > 0 ? `, ${skipped} skipped` : ''}`;
        yield `${failed > 0 ? '✖' : '✔'} ${shorten(file)} (${passed} passed${extra}, ${Math.round(durationMs)} ms)\n`;
        break;
      }
      case 'test:stderr':
        if (process.env.TOLLGATE_TEST_OUTPUT) yield event.data.message;
        break;
      case 'test:diagnostic':
        if (
          event.data.nesting === 0 &&
          /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(event.data.message)
        ) {
          if (event.data.message.startsWith('tests ') && failures.length > 0) {
            yield `\nFailures:\n\n${failures.join('\n')}\n`;
          }
          yield `ℹ ${event.data.message}\n`;
        }
        break;
    }
  }
}

function shorten(file: string): string {
  return file === '' ? '' : relative(process.cwd(), file);
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}

function describe(error: (Error & { cause?: unknown }) | null): string {
  const cause = error?.cause ?? error;
  if (!(cause instanceof Error)) return String(cause);
  const stack = (cause.stack ?? '').split('\n').filter((line) => !line.includes('node:internal'));
  const text = stack.join('\n') || cause.message;
  return text.length > 4000 ? `${text.slice(0, 4000)}…` : text;
}
