import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatDeclaration, parseDeclaration } from '#contract/declaration.ts';

const parse = (text: string, environment: Record<string, string> = {}) =>
  parseDeclaration(text, { environment });

function errorsOf(text: string, environment: Record<string, string> = {}) {
  const parsed = parse(text, environment);
  assert.ok(!parsed.ok, 'was accepted');
  return parsed.errors;
}

test('the configuration of npm start is valid and survives being written and read', () => {
  const text = readFileSync(join(import.meta.dirname, '../../tollgate.yaml'), 'utf8');
  const parsed = parse(text, { SANDBOX_URL: 'http://127.0.0.1:8150' });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.ok(parsed.value.resources.length > 0);
  const again = parse(formatDeclaration(parsed.value.resources));
  assert.ok(again.ok);
  const byId = (list: readonly { kind: string; id: string }[]) =>
    [...list].sort((a, b) => (a.kind + a.id < b.kind + b.id ? -1 : 1));
  assert.deepEqual(byId(again.value.resources), byId(parsed.value.resources));
});

test('variables are put in, with defaults, and keep their type where unquoted', () => {
  const parsed = parse(
    [
      'gateway:',
      '  port: ${PORT:-8080}',
      '  name: "${PORT:-8080}"',
      '  url: http://${HOST}:${PORT:-1}/',
      '  raw: $${HOST}',
      '  on: ${ON}',
    ].join('\n'),
    { HOST: 'h', ON: 'true' },
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(parsed.value.gateway, {
    port: 8080,
    name: '8080',
    url: 'http://h:1/',
    raw: '${HOST}',
    on: true,
  });
});

test('a value from the environment cannot add structure', () => {
  const parsed = parse('gateway: { a: "${X}" }', { X: 'b"\nroutes: [{id: evil}]' });
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.gateway, { a: 'b"\nroutes: [{id: evil}]' });
  assert.equal(parsed.value.resources.length, 0);
});

test('every error is told at once with its line, pointer and a hint', () => {
  const errors = errorsOf(
    [
      'services:',
      '  - id: pay',
      '    target: {}',
      'routes:',
      '  - id: a',
      '    service: pya',
      '    path: v1',
      '  - id: b',
      '    service: pai',
      '    path: /b',
      'rutes: []',
      'versions:',
      '  - id: v1',
      '    state: active',
      '    successor: ${NOPE}',
    ].join('\n'),
  );
  assert.deepEqual(
    errors.map(({ line, pointer }) => [line, pointer]),
    [
      [2, '/services/0'],
      [2, '/services/0'],
      [7, '/routes/0/path'],
      [9, '/routes/1/service'],
      [11, '/rutes'],
      [15, '/versions/0/successor'],
      [15, '/versions/0/successor'],
    ],
  );
  assert.equal(errors.find((error) => error.detail.includes('"target"'))?.hint, 'did you mean "targets"?');
  assert.equal(errors.find((error) => error.pointer === '/routes/1/service')?.hint, 'did you mean "pay"?');
  assert.equal(errors.find((error) => error.pointer === '/rutes')?.hint, 'did you mean "routes"?');
});

test('YAML errors have their line', () => {
  assert.equal(errorsOf('a: 1\nb: [1\n')[0]?.line, 3);
  assert.equal(errorsOf('gateway: {}\ngateway: {}\n')[0]?.line, 2);
});

test('a resource declared twice is refused', () => {
  const service = '  - id: a\n    targets: {}\n';
  assert.match(errorsOf(`services:\n${service}${service}`)[0]!.detail, /declared twice/);
});

test('references may lead to resources that are known besides', () => {
  const text = 'routes:\n  - {id: r, service: old, path: /}\n';
  assert.equal(parse(text).ok, false);
  const known = parseDeclaration(text, { environment: {}, known: { service: new Set(['old']) } });
  assert.equal(known.ok, true);
});

test('an empty text declares nothing', () => {
  const parsed = parse('# nothing\n');
  assert.ok(parsed.ok);
  assert.deepEqual([parsed.value.resources, parsed.value.gateway], [[], undefined]);
});

test('aliases that multiply are cut off', () => {
  const lines = ['gateway:', '  a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 9; i++) lines.push(`  a${i}: &a${i} [${`*a${i - 1}, `.repeat(9).slice(0, -2)}]`);
  assert.equal(parse(lines.join('\n')).ok, false);
});
