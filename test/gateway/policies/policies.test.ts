import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { mintSecret } from '#contract/keys.ts';
import type { Route } from '#contract/registry.ts';
import hideService from '../../../examples/policies/hide-service.ts';
import requireTenant from '../../../examples/policies/require-tenant.ts';
import { checkPolicies } from '../../../gateway/policies/apply.ts';
import { loadPolicies, PolicyFileError } from '../../../gateway/policies/load.ts';
import { definePolicy, type Policy, type PolicyPlace, Type } from '../../../gateway/policies/policy.ts';
import { PolicyFiles } from '../../../gateway/policies/policy-files.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { makeFolder, removeFolder } from '../../support/temporary-folder.ts';
import { echo, reply, startUpstream, type TestUpstream } from '../../support/upstream.ts';

let upstream: TestUpstream;
let gateway: TestGateway;
const policies = new Map<string, Policy>();
const secret = mintSecret('live', randomBytes(32));

before(async () => {
  upstream = await startUpstream();
  gateway = await startTestGateway({ routes: [], dependencies: { policies } });
  gateway.keys.put({
    id: 'ak_live_tenant',
    kind: 'bearer',
    environment: 'live',
    secrets: [{ plain: secret }],
    scopes: ['tenant:acme'],
  });
});
after(async () => {
  await gateway.stop();
  await upstream.stop();
});
beforeEach(() => {
  policies.clear();
  upstream.handle(echo);
  gateway.faults.length = 0;
});

function use(named: Policy[], route: Partial<Route>): void {
  for (const policy of named) policies.set(policy.name, policy);
  const services = [{ id: 's', targets: { live: [{ url: upstream.url }] } }];
  gateway.route([{ id: 'r', service: 's', path: '/', authentication: 'none', ...route }], services);
}

async function send(
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(gateway.url, { headers });
  const text = await response.text();
  return {
    status: response.status,
    body: text.startsWith('{') ? JSON.parse(text) : { text },
    headers: response.headers,
  };
}

describe('the worked examples', () => {
  test('require-tenant admits callers to the tenants of their scopes and tells the service which', async () => {
    use([requireTenant as unknown as Policy], { authentication: {}, policies: [{ name: 'require-tenant' }] });
    const key = { 'X-API-Key': secret };
    assert.equal((await send()).status, 401);
    assert.equal((await send(key)).body.detail, 'Send x-tenant.');
    assert.equal((await send({ ...key, 'X-Tenant': 'other' })).status, 403);
    const passed = await send({ ...key, 'X-Tenant': 'acme', 'X-Verified-Tenant': 'forged' });
    assert.equal(passed.status, 200);
    assert.equal((passed.body.headers as Record<string, string>)['x-verified-tenant'], 'acme');
  });

  test('hide-service changes answers and refusals', async () => {
    upstream.handle((_request, socket) =>
      reply(socket, 200, { Server: 'secret/1.0', 'X-Powered-By': 'x' }, 'ok'),
    );
    use([hideService as unknown as Policy], {
      policies: [{ name: 'hide-service', config: { strictTransportSecurity: true } }],
    });
    const { headers } = await send();
    assert.equal(headers.get('server'), null);
    assert.equal(headers.get('x-powered-by'), null);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('strict-transport-security'), 'max-age=31536000');
  });
});

describe('containment', () => {
  const misbehaving = (create: () => unknown, place: PolicyPlace = 'before_forwarding'): Policy =>
    ({ name: 'bad', place, schema: Type.Object({}), create: () => create }) as unknown as Policy;

  const cases: [string, () => unknown][] = [
    [
      'throws',
      () => {
        throw new Error('a fault in a policy');
      },
    ],
    ['rejects', () => Promise.reject(new Error('a fault in a policy'))],
    ['returns nonsense', () => 'refused'],
    ['resolves with nonsense', () => Promise.resolve({ status: 403 })],
    ['returns null', () => null],
  ];
  for (const [what, create] of cases) {
    test(`a policy that ${what} costs its request a 500 and nothing else`, async () => {
      use([misbehaving(create)], { policies: [{ name: 'bad' }] });
      const { status, body } = await send();
      assert.equal(status, 500);
      assert.equal(body.code, 'internal_error');
      assert.ok(!JSON.stringify(body).includes('fault in a policy'));
      assert.equal(gateway.faults.length, 1);
      use([], {});
      assert.equal((await send()).status, 200);
    });
  }

  test('a response policy that throws breaks its answer off rather than send it unchanged', async () => {
    use(
      [
        misbehaving(() => {
          throw new Error('x');
        }, 'response'),
      ],
      { policies: [{ name: 'bad' }] },
    );
    await assert.rejects(send());
    assert.equal(gateway.faults.length, 1);
  });

  test('a route that names an unknown policy is not put in force', async () => {
    use([], {});
    assert.throws(() => use([], { policies: [{ name: 'absent' }] }), /route r: there is no policy "absent"/);
    assert.equal((await send()).status, 200);
  });
});

describe('places', () => {
  test('each policy runs at its place, in the order of the route', async () => {
    const seen: string[] = [];
    const at = (name: string, place: Exclude<PolicyPlace, 'response'>): Policy =>
      definePolicy({
        name,
        place,
        schema: Type.Object({}),
        create: () => (exchange) => {
          seen.push(`${name}:${exchange.consumer === null ? 'nobody' : 'somebody'}:${exchange.limitOutcome}`);
          return undefined;
        },
      }) as unknown as Policy;
    const four = [
      at('d', 'before_forwarding'),
      at('c', 'before_limits'),
      at('b', 'before_limits'),
      at('a', 'before_authentication'),
    ];
    use(four, { authentication: {}, policies: four.map(({ name }) => ({ name })) });
    assert.equal((await send({ 'X-API-Key': secret })).status, 200);
    assert.deepEqual(seen, ['a:nobody:null', 'c:somebody:null', 'b:somebody:null', 'd:somebody:admitted']);
  });
});

describe('configuration', () => {
  test('is checked against the schema, all errors at once', () => {
    const routing = (config: unknown) => ({
      services: new Map(),
      versions: new Map(),
      routes: new Map([
        [
          'r',
          {
            id: 'r',
            service: 's',
            path: '/',
            policies: [{ name: 'require-tenant', config }, { name: 'absent' }],
          },
        ],
      ]),
    });
    const known = new Map([['require-tenant', requireTenant as unknown as Policy]]);
    const problems = checkPolicies(routing({ header: 'Not Valid', more: 1 }), known);
    assert.equal(problems.length, 3, problems.join('\n'));
    assert.match(problems.join('\n'), /\/header .*\n|unknown member "more"/);
    assert.deepEqual(checkPolicies(routing({ header: 'x-t' }), known), [
      'route r: there is no policy "absent"',
    ]);
  });

  test('files that are no policies say so', async (t) => {
    const folder = makeFolder('policies');
    t.after(() => removeFolder(folder));
    for (const [text, message] of [
      ['export const x = 1;', /no default export/],
      ["export default { name: 'a b' };", /its name/],
      ["export default { name: 'a' };", /no schema/],
      [
        "export default { name: 'a', schema: {}, place: 'later' };",
        /its place is none of before_authentication/,
      ],
      ["export default { name: 'a', schema: {}, place: 'response' };", /no create/],
      ['export default {', /policy-5\.ts: /],
      ["throw new Error('at load');", /at load/],
    ] as const) {
      const file = join(folder, `policy-${cases++}.ts`);
      writeFileSync(file, text);
      await assert.rejects(loadPolicies([file], 0), (error: Error) => {
        assert.ok(error instanceof PolicyFileError);
        assert.match(error.message, message);
        return true;
      });
    }
    await assert.rejects(loadPolicies([join(folder, 'absent.ts')], 0), PolicyFileError);
  });
  let cases = 0;

  test('a changed file is loaded again; one that fails leaves the former', async (t) => {
    const folder = makeFolder('policies');
    t.after(() => removeFolder(folder));
    const file = join(folder, 'mine.ts');
    const write = (name: string): void =>
      writeFileSync(
        file,
        `export default { name: '${name}', schema: {}, place: 'response', create: () => () => {} };`,
      );
    write('one');
    const loaded: number[] = [];
    const logged: string[] = [];
    let wake = (): void => undefined;
    const files = await PolicyFiles.open({
      files: [file],
      check: (given) => (given.has('forbidden') ? ['not this one'] : []),
      onLoaded: (generation) => loaded.push(generation),
      log: (_level, message) => {
        logged.push(message);
        wake();
      },
    });
    t.after(() => files.close());
    const changed = async (text: () => void): Promise<void> => {
      const next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      text();
      await next;
    };
    assert.deepEqual([...files.policies.keys()], ['one']);
    await changed(() => write('two'));
    assert.deepEqual([...files.policies.keys()], ['two']);
    await changed(() => writeFileSync(file, 'export default {'));
    await changed(() => write('forbidden'));
    assert.deepEqual([...files.policies.keys()], ['two']);
    await changed(() => write('three'));
    assert.deepEqual([...files.policies.keys()], ['three']);
    assert.deepEqual(logged, [
      'policies loaded again',
      'policies not changed',
      'policies not changed',
      'policies loaded again',
    ]);
    assert.equal(loaded.at(-1), files.generation);
  });
});
