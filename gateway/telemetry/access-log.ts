import { write } from 'node:fs';
import type { Exchange } from '../exchange.ts';

/**
 * One JSON line for each request: when, who, what, how it ended and how long it took. Lines are gathered and written
 * together; a process that is killed loses at most `flushIntervalMs` of them. Paths carry no query, since queries may
 * carry secrets.
 */
export class AccessLog {
  readonly #fd: number;
  readonly #timer: NodeJS.Timeout;
  #pending = '';
  #writing = false;
  #dropped = 0;

  constructor(fd: number, flushIntervalMs = 200) {
    this.#fd = fd;
    this.#timer = setInterval(() => this.flush(), flushIntervalMs);
    this.#timer.unref();
  }

  /** Lines given up because the sink was slower than the traffic for 16 MiB. */
  get dropped(): number {
    return this.#dropped;
  }

  record(exchange: Exchange, latencyMs: number, time: number): void {
    if (this.#pending.length > 16 << 20) {
      this.#dropped++;
      return;
    }
    const { consumer, route } = exchange;
    let line = `{"time":${time},"id":"${exchange.requestId}","trace":"${exchange.traceId}","ip":"${exchange.clientIp}","method":"${exchange.method}","host":${quote(exchange.host)},"path":${quote(exchange.path)},"status":${exchange.status},"ms":${round(latencyMs)},"in":${exchange.bytesIn},"out":${exchange.bytesOut}`;
    if (route !== null && route.id !== '') line += `,"route":"${route.id}"`;
    if (exchange.upstreamLatencyMs >= 0) line += `,"upstream_ms":${round(exchange.upstreamLatencyMs)}`;
    if (exchange.upstreamOrigin !== null) line += `,"upstream":"${exchange.upstreamOrigin}"`;
    if (consumer !== null) {
      if (consumer.keyId !== null) line += `,"key_id":"${consumer.keyId}"`;
      if (consumer.appId !== null) line += `,"app":"${consumer.appId}"`;
      if (consumer.subject !== null) line += `,"sub":${quote(consumer.subject)}`;
    }
    if (exchange.refusalCode !== null) line += `,"code":"${exchange.refusalCode}"`;
    if (exchange.cacheState !== null) line += `,"cache":"${exchange.cacheState}"`;
    if (exchange.aborted) line += ',"aborted":true';
    this.#pending += `${line}}\n`;
    if (this.#pending.length > 65_536) this.flush();
  }

  flush(): void {
    if (this.#writing || this.#pending === '') return;
    this.#writing = true;
    this.#write(Buffer.from(this.#pending), 0);
    this.#pending = '';
  }

  #write(data: Buffer, from: number): void {
    write(this.#fd, data, from, data.length - from, null, (error, written) => {
      if (error?.code === 'EAGAIN') setTimeout(() => this.#write(data, from), 5);
      else if (!error && from + written < data.length) this.#write(data, from + written);
      else this.#writing = false;
    });
  }

  /** Writes what is left and resolves when it has been handed over. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.flush();
    while (this.#writing || this.#pending !== '') {
      await new Promise((resolve) => setImmediate(resolve));
      this.flush();
    }
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Plain text is only quoted; anything else goes through JSON. */
function quote(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x22 || code === 0x5c || code > 0x7e) return JSON.stringify(text);
  }
  return `"${text}"`;
}
