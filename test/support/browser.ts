import { type Browser, chromium } from 'playwright-core';
import { requireTool } from './tools.ts';

/** Starts Debian's Chromium without a screen and without anything that would call home. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: requireTool('chromium'),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
