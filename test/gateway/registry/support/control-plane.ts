import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGzip, createZstdCompress, constants as zlib } from 'node:zlib';
import type { Acknowledgement, Change, StreamLine } from '#contract/registry.ts';

export interface StreamConnection {
  /** Null: the gateway has nothing. */
  readonly from: number | null;
  readonly headers: IncomingMessage['headers'];
  send(...lines: readonly (StreamLine | Record<string, unknown>)[]): void;
  sendRaw(text: string): void;
  end(): void;
  destroy(): void;
}

/** The registry endpoints of a control plane, played by a test: it decides what is sent on every connection. */
export class PlayedControlPlane {
  readonly acknowledgements: Acknowledgement[] = [];
  readonly #server: Server;
  readonly #connections: StreamConnection[] = [];
  #waiting: ((connection: StreamConnection) => void)[] = [];
  #onAcknowledged = (): void => undefined;
  coding: 'identity' | 'gzip' | 'zstd' = 'identity';
  url = '';
  status = 200;
  requests = 0;

  private constructor() {
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  static async start(): Promise<PlayedControlPlane> {
    const plane = new PlayedControlPlane();
    plane.#server.listen(0, '127.0.0.1');
    await once(plane.#server, 'listening');
    plane.url = `http://127.0.0.1:${(plane.#server.address() as AddressInfo).port}`;
    return plane;
  }

  /** The next connection that a gateway makes. */
  connection(): Promise<StreamConnection> {
    const present = this.#connections.shift();
    if (present) return Promise.resolve(present);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when a gateway has acknowledged this revision. */
  async acknowledged(revision: number): Promise<Acknowledgement> {
    for (;;) {
      const found = this.acknowledgements.find((each) => each.revision === revision);
      if (found) return found;
      await new Promise<void>((resolve) => {
        this.#onAcknowledged = resolve;
      });
    }
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, 'http://control');
    if (request.headers.authorization !== 'Bearer gateway-token') {
      response.writeHead(401).end();
    } else if (url.pathname === '/registry/v1/ack' && request.method === 'POST') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        this.acknowledgements.push(JSON.parse(body) as Acknowledgement);
        response.writeHead(204).end();
        this.#onAcknowledged();
      });
    } else if (url.pathname === '/registry/v1/stream') {
      this.requests++;
      if (this.status !== 200) {
        response.writeHead(this.status).end('not now');
        return;
      }
      const from = url.searchParams.get('from');
      this.#stream(request, response, from === null ? null : Number(from));
    } else response.writeHead(404).end();
  }

  #stream(request: IncomingMessage, response: ServerResponse, from: number | null): void {
    const encoder =
      this.coding === 'gzip' ? createGzip() : this.coding === 'zstd' ? createZstdCompress() : null;
    response.writeHead(200, {
      'content-type': 'application/x-ndjson',
      ...(encoder ? { 'content-encoding': this.coding } : {}),
    });
    response.flushHeaders();
    encoder?.pipe(response);
    const flush = this.coding === 'zstd' ? zlib.ZSTD_e_flush : zlib.Z_SYNC_FLUSH;
    const sendRaw = (text: string): void => {
      if (encoder === null) response.write(text);
      else {
        encoder.write(text);
        encoder.flush(flush);
      }
    };
    const connection: StreamConnection = {
      from,
      headers: request.headers,
      sendRaw,
      send: (...lines) => sendRaw(lines.map((line) => `${JSON.stringify(line)}\n`).join('')),
      end: () => (encoder ?? response).end(),
      destroy: () => response.destroy(),
    };
    const waiting = this.#waiting.shift();
    if (waiting) waiting(connection);
    else this.#connections.push(connection);
  }
}

/** The lines of a snapshot. */
export function snapshotLines(revision: number, changes: readonly Change[]): StreamLine[] {
  return [
    { type: 'snapshot', revision },
    ...changes.map((change): StreamLine => ({ type: 'change', ...change })),
    { type: 'snapshot_end', revision, count: changes.length },
  ];
}
