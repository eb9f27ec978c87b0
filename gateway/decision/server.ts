import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { problemDocument, problemMediaType, problems } from '#contract/problems.ts';
import { Exchange, type ExchangeObserver } from '../exchange.ts';
import { DecisionDownstream } from './downstream.ts';
import { readOriginal } from './original-request.ts';

export interface DecisionHandler extends ExchangeObserver {
  /** Runs the phases of the exchange's route up to the decision. */
  decide(exchange: Exchange): void;
}

const problemsPath = '/tollgate/problems/';

/**
 * Answers proxies that ask before they forward (forward-auth): 2xx with the caller's identity, or the refusal. To be
 * reachable for the proxy only, since what it says of the client is believed.
 *
 * `GET /tollgate/problems/{code}` answers with that problem, for proxies that cannot pass a refusal on.
 */
export function createDecisionServer(handler: DecisionHandler, maxBodyBytes: number): Server {
  const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => {
    if (request.url!.startsWith(problemsPath)) answerProblem(request, response);
    else void decide(handler, maxBodyBytes, request, response);
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  return server;
}

async function decide(
  handler: DecisionHandler,
  maxBodyBytes: number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= maxBodyBytes) chunks.push(chunk);
    }
  } catch {
    response.destroy();
    return;
  }
  const wish = Number(request.headers['x-tollgate-refuse-with']);
  const refuseWith = Number.isInteger(wish) && wish >= 400 && wish <= 599 ? wish : null;
  const downstream = new DecisionDownstream(response, Buffer.concat(chunks), refuseWith);
  const exchange = new Exchange(downstream, handler, readOriginal(request, size));
  downstream.exchange = exchange;
  handler.decide(exchange);
}

function answerProblem(request: IncomingMessage, response: ServerResponse): void {
  const name = request.url!.slice(problemsPath.length).split('?')[0]!;
  const code = Object.hasOwn(problems, name) ? (name as keyof typeof problems) : 'not_found';
  const body = JSON.stringify(problemDocument(code));
  response.writeHead(problems[code].status, {
    'content-type': problemMediaType,
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
