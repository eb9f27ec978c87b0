import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestFault } from '../../../../gateway/wire/http1/faults.ts';
import { compare, laxer, stricter } from './differential.ts';
import { generateInput, Random } from './request-generator.ts';

const inputs = Number(process.env.TOLLGATE_TEST_FUZZ_INPUTS ?? 20_000);
const seed = Number(process.env.TOLLGATE_TEST_FUZZ_SEED ?? 1);

/**
 * TOLLGATE_TEST_FUZZ_INPUTS=1000000 TOLLGATE_TEST_FUZZ_SEED=2 node --test test/gateway/wire/http1/differential.test.ts
 * is a longer run elsewhere in the space of inputs.
 */
test(`every disagreement with node:http's parser over ${inputs} generated inputs has a known reason`, (t) => {
  const random = new Random(seed);
  const counts = new Map<string, number>();
  const unexplained = new Map<string, string[]>();
  for (let i = 0; i < inputs; i++) {
    const text = generateInput(random);
    const found = compare(Buffer.from(text, 'latin1'), random);
    if (found === null) continue;
    const name = `${found.kind} ${found.detail}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const explained =
      (found.kind === 'stricter' && stricter[found.detail as RequestFault] !== undefined) ||
      (found.kind === 'laxer' && laxer[found.detail] !== undefined);
    if (explained) continue;
    const examples = unexplained.get(name) ?? [];
    if (examples.length < 3) examples.push(JSON.stringify(text));
    unexplained.set(name, examples);
  }
  for (const [name, count] of [...counts].sort((a, b) => b[1] - a[1])) t.diagnostic(`${count} ${name}`);
  const lines = [...unexplained].map(([name, examples]) => `${name}:\n  ${examples.join('\n  ')}`);
  assert.equal(lines.length, 0, lines.join('\n'));
});
