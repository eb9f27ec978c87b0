import type { ResponsePhase } from '../pipeline.ts';

/** Names the request and this hop on every response. */
export function decorateRequest(): ResponsePhase {
  return (exchange) => {
    const { responseHeaders } = exchange;
    for (let i = 0; i < responseHeaders.length; i += 2) {
      if (responseHeaders[i] === 'x-request-id') {
        responseHeaders.splice(i, 2);
        break;
      }
    }
    responseHeaders.push('X-Request-Id', exchange.requestId, 'Via', '1.1 tollgate');
  };
}
