import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Feature } from '../context.ts';
import { sendProblem } from '../http/problem.ts';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Styles are set by the component library at run time; scripts come from here alone. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

interface Asset {
  readonly type: string;
  readonly body: Buffer;
}

/** Serves the web console below /console/, from memory. `npm run build:console` makes its files. */
export const portal: Feature = (app, { log }) => {
  const assets = readAssets(join(import.meta.dirname, 'dist'));
  if (assets === null) log.warn('the console is not built: npm run build:console');

  app.get('/', { schema: { hide: true } }, (_request, reply) => reply.redirect('/console/', 302));
  app.get('/console', { schema: { hide: true } }, (_request, reply) => reply.redirect('/console/', 302));
  app.get('/console/*', { schema: { hide: true } }, (request, reply) => {
    const name = (request.params as { '*': string })['*'] || 'index.html';
    const asset = assets?.get(name);
    if (!asset) return void sendProblem(reply, assets === null ? 'unavailable' : 'not_found');
    // The names of all files but the page itself change with their content.
    const caching = name === 'index.html' ? 'no-cache' : 'public, max-age=31536000, immutable';
    return reply
      .headers({ 'content-type': asset.type, 'cache-control': caching, 'content-security-policy': policy })
      .send(asset.body);
  });
};

function readAssets(folder: string): Map<string, Asset> | null {
  const assets = new Map<string, Asset>();
  try {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const type = types[extname(entry.name)];
      if (!entry.isFile() || type === undefined) continue;
      const path = join(entry.parentPath, entry.name);
      const name = path.slice(folder.length + 1).replaceAll('\\', '/');
      assets.set(name, { type, body: readFileSync(path) });
    }
  } catch {
    return null;
  }
  return assets.has('index.html') ? assets : null;
}
