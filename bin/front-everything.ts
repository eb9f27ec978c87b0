import type { Route, Service } from '#contract/registry.ts';
import { UsageError } from './command.ts';

export interface FrontOptions {
  /** No keys, no limits. */
  readonly open: boolean;
  readonly cache: boolean;
}

/** The one service and route of a gateway that stands in front of some origins without a configuration file. */
export function frontEverything(
  upstreams: readonly string[],
  options: FrontOptions,
): { service: Service; route: Route } {
  const targets = upstreams.map((upstream) => ({ url: parseOrigin(upstream) }));
  return {
    service: { id: 'upstream', targets: { live: targets, test: targets } },
    route: {
      id: 'everything',
      service: 'upstream',
      path: '/',
      ...(options.open
        ? { authentication: 'none', applyPlan: false }
        : { authentication: { accept: ['bearer'] } }),
      ...(options.cache ? { cache: {} } : {}),
    },
  };
}

/** `http://host:port`, `https://host`, or `host:port` for http. */
function parseOrigin(text: string): string {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw new UsageError(`--upstream ${JSON.stringify(text)} is not an address`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new UsageError(`--upstream ${JSON.stringify(text)} must begin with http:// or https://`);
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new UsageError(`--upstream ${JSON.stringify(text)} must be scheme, host and port alone`);
  }
  return url.origin;
}
