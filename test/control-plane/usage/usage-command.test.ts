import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinBatches, usageBatchesMediaType } from '#contract/usage-batch.ts';
import { makeBatch, makeEvent } from '../../gateway/usage/events.ts';
import { runTollgate } from '../../support/command-line.ts';
import { gatewayToken, operatorToken, startTestPlane } from '../../support/control-plane.ts';

test('tollgate usage shows the days of an app', async (t) => {
  const plane = await startTestPlane();
  t.after(() => plane.stop());
  const { appId } = await plane.makeKey('ana@example.com');
  const event = makeEvent({ appId, occurredAt: Date.now(), latencyMs: 12.3 });
  await fetch(`${plane.url}/usage/v1/batches`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gatewayToken}`, 'content-type': usageBatchesMediaType },
    body: joinBatches([makeBatch('command', 1, [event, { ...event, status: 500 }])]) as never,
  });
  const env = {
    TOLLGATE_CONTROL_URL: plane.url,
    TOLLGATE_OPERATOR_TOKEN: operatorToken,
    TOLLGATE_TOKEN: operatorToken,
  };
  const shown = await runTollgate(['usage', '--app', appId, '--json'], { env });
  assert.equal(shown.code, 0, shown.output);
  const today = new Date().toISOString().slice(0, 10);
  assert.deepEqual(JSON.parse(shown.stdout), [{ day: today, calls: 2, errors: 1, avg_latency_ms: 12.3 }]);
  const table = await runTollgate(['usage', '--app', 'Shop', '--days', '7'], { env });
  assert.match(table.stdout, new RegExp(`^${today}  2 +1 +12\\.3$`, 'm'));
  assert.equal((await runTollgate(['usage', '--app', 'Nothing'], { env })).code, 1);
});
