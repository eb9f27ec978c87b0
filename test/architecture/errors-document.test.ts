import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { problems } from '#contract/problems.ts';
import { root } from './source-files.ts';

test('docs/errors.md lists exactly the problems that Tollgate sends', () => {
  const rows = readFileSync(join(root, 'docs/errors.md'), 'utf8')
    .split('\n')
    .filter((line) => /^\| \d{3} +\|/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const expected = Object.entries(problems).map(([code, { status, title, detail }]) => [
    String(status),
    `\`${code}\``,
    title,
    detail,
  ]);
  assert.deepEqual(rows, expected);
});
