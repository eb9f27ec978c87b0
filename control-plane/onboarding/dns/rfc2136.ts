import { randomInt } from 'node:crypto';
import { connect } from 'node:net';
import { type DnsChange, type DnsRecord, encodeUpdate, nameResponseCode, parseResponse } from './message.ts';
import { DnsError, type DnsProvider } from './provider.ts';
import { signRequest, type TsigKey, verifyResponse } from './tsig.ts';

export interface Rfc2136Options {
  readonly host: string;
  readonly port: number;
  readonly zone: string;
  readonly key: TsigKey | null;
  readonly ttlSeconds: number;
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Changes a zone by dynamic updates (RFC 2136) over TCP, signed with TSIG. Each update is atomic at the server. */
export class Rfc2136Provider implements DnsProvider {
  readonly kind = 'rfc2136';
  readonly #options: Rfc2136Options;

  constructor(options: Rfc2136Options) {
    this.#options = options;
  }

  point(name: string, records: readonly DnsRecord[]): Promise<void> {
    const { ttlSeconds } = this.#options;
    return this.#update([
      ...clearAddresses(name),
      ...records.map((record): DnsChange => ({ action: 'add', name, ttlSeconds, record })),
    ]);
  }

  unpoint(name: string): Promise<void> {
    return this.#update(clearAddresses(name));
  }

  addText(name: string, value: string): Promise<void> {
    return this.#update([{ action: 'add', name, ttlSeconds: 1, record: { type: 'TXT', value } }]);
  }

  removeText(name: string, value: string): Promise<void> {
    return this.#update([{ action: 'remove', name, record: { type: 'TXT', value } }]);
  }

  async #update(changes: readonly DnsChange[]): Promise<void> {
    const { zone, key, now, host, port } = this.#options;
    const id = randomInt(0x10000);
    let message = encodeUpdate(id, zone, changes);
    let mac: Buffer | null = null;
    if (key) ({ message, mac } = signRequest(message, key, now()));
    const where = `DNS server ${host}:${port}`;
    let reply: Buffer;
    try {
      reply = await exchange(message, this.#options);
    } catch (error) {
      throw new DnsError(`${where}: ${(error as Error).message}`, true, error);
    }
    let code: number;
    try {
      const response = parseResponse(reply);
      if (response.id !== id) throw new Error('the response belongs to another request');
      if (key && mac) verifyResponse(reply, key, mac, now());
      code = response.code;
    } catch (error) {
      throw new DnsError(`${where}: ${(error as Error).message}`, false, error);
    }
    // SERVFAIL may pass; what the server refuses it will refuse again.
    if (code !== 0) throw new DnsError(`${where} refused the update: ${nameResponseCode(code)}`, code === 2);
  }
}

function clearAddresses(name: string): DnsChange[] {
  return (['A', 'AAAA', 'CNAME'] as const).map((type) => ({ action: 'clear', name, type }));
}

/** One message and its reply over TCP (RFC 1035, section 4.2.2). */
function exchange(message: Buffer, options: Rfc2136Options): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: options.host, port: options.port });
    let received: Buffer = Buffer.alloc(0);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(options.timeoutMs, () => fail(new Error('no answer in time')));
    socket
      .once('error', fail)
      .once('close', () => reject(new Error('closed the connection without an answer')));
    socket.once('connect', () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(message.length);
      socket.write(Buffer.concat([length, message]));
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      resolve(received.subarray(2, 2 + received.readUInt16BE(0)));
      socket.destroy();
    });
  });
}
