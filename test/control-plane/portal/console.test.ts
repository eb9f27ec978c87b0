import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { parseSecret } from '#contract/keys.ts';
import { startBrowser } from '../../support/browser.ts';
import { operatorToken, startTestPlane, type TestPlane } from '../../support/control-plane.ts';

/** A folder for screenshots of the pages, for whoever wants to look at them. */
const screenshots = process.env.TOLLGATE_TEST_SCREENSHOTS;

describe('the console', () => {
  let plane: TestPlane;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  before(async () => {
    plane = await startTestPlane('pglite');
    browser = await startBrowser();
    page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => {
      if (/Content Security Policy/.test(message.text())) problems.push(message.text());
    });
  });
  after(async () => {
    await browser?.close();
    await plane?.stop();
  });

  const look = async (name: string): Promise<void> => {
    if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png` });
  };

  test('the root leads to it, and a token that is not accepted leads back to sign-in', async () => {
    await page.goto(plane.url);
    assert.match(page.url(), /\/console\/$/);
    await page.getByLabel('Token').fill('not-a-token');
    await look('sign-in');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('The token was not accepted').waitFor();
  });

  test('an operator creates an app and a key, and sees the secret once', async () => {
    await page.getByLabel('Token').fill(operatorToken);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('No apps yet').waitFor();
    await page.getByRole('button', { name: 'Create an app' }).click();
    await page.getByLabel('Name').fill('Shop');
    await page.getByLabel('Account').fill('dev@example.com');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await page.getByRole('heading', { name: 'Shop' }).waitFor();
    await page.getByRole('button', { name: 'Create a key' }).click();
    await page.getByLabel('Name').fill('till');
    await page.getByText('Bearer secret').click();
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    const secret = (await page.getByTestId('secret').textContent())!.trim();
    await look('secret');
    assert.equal(parseSecret(secret), 'test');
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('cell', { name: 'till' }).waitFor();
    await look('app');
    assert.ok(!(await page.content()).includes(secret));
    const stored = await plane.follow();
    const digest = createHash('sha256').update(secret).digest('hex');
    await stored.snapshot();
    assert.ok(JSON.stringify([...stored.objects.values()]).includes(digest));
    await stored.stop();
  });

  test('a key is revoked after a confirmation', async () => {
    await page.getByRole('button', { name: 'Revoke' }).click();
    await page.getByLabel('Reason').fill('lost');
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('revoked', { exact: true }).waitFor();
  });

  test('a developer sees their own apps only and no gateways', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').fill(await plane.tokenOf('other@example.com'));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('Developer', { exact: true }).waitFor();
    await page.goto(`${plane.url}/console/#/apps`);
    await page.getByText('No apps yet').waitFor();
    assert.equal(await page.getByText('Gateways').count(), 0);
    await look('developer');
  });

  test('the pages run under their content security policy without an error', () => {
    assert.deepEqual(problems, []);
  });
});
