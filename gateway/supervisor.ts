import { Worker } from 'node:worker_threads';
import { Channel } from './channel.ts';
import type { GatewayConfig } from './config.ts';
import { type MetricSnapshot, mergeSnapshots } from './telemetry/metrics.ts';

/** What a worker is started with. */
export interface WorkerData {
  readonly config: GatewayConfig;
  readonly index: number;
  /** The port that the first worker was given when 0 was asked for. */
  readonly port: number;
  readonly tlsPort: number;
  /** Shared memory and initial state, by the part of the gateway that owns it. */
  readonly shared: Readonly<Record<string, unknown>>;
}

export interface Listening {
  readonly port: number;
  readonly tlsPort: number;
}

export interface SupervisorOptions {
  readonly config: GatewayConfig;
  /** What is shared with a worker that starts now. */
  readonly share: (index: number) => Record<string, unknown>;
  /** A worker has started and not yet said anything: attach handlers to its channel. */
  readonly attach: (channel: Channel, index: number) => void;
  readonly detach: (channel: Channel, index: number) => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;
}

interface Seat {
  worker: Worker;
  channel: Channel;
  listening: boolean;
  lastMetrics: MetricSnapshot[];
}

/** Starts the workers, replaces one that dies, and asks all of them for metrics and to drain. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #seats = new Map<number, Seat>();
  /** Counts of workers that are gone, so that counters never fall. */
  #departed: MetricSnapshot[] = [];
  #scrapes = new Map<string, (snapshots: MetricSnapshot[]) => void>();
  #scrapeNumber = 0;
  #stopping = false;
  #restarts = 0;
  #port: number;
  #tlsPort: number;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#port = options.config.listen.port;
    this.#tlsPort = options.config.tls?.port ?? 0;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get listening(): number {
    return [...this.#seats.values()].filter((seat) => seat.listening).length;
  }

  /** Resolves when every worker listens; rejects with the first worker's error (for example a port in use). */
  async start(): Promise<Listening> {
    const first = await this.#spawn(0);
    this.#port = first.port;
    this.#tlsPort = first.tlsPort;
    await Promise.all(Array.from({ length: this.#options.config.workers - 1 }, (_, i) => this.#spawn(i + 1)));
    return first;
  }

  #spawn(index: number): Promise<Listening> {
    const data: WorkerData = {
      config: this.#options.config,
      index,
      port: this.#port,
      tlsPort: this.#tlsPort,
      shared: this.#options.share(index),
    };
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: data,
      name: `worker-${index}`,
    });
    const channel = new Channel(worker);
    const seat: Seat = { worker, channel, listening: false, lastMetrics: [] };
    this.#seats.set(index, seat);
    this.#options.attach(channel, index);
    channel.on<{ id: string; snapshots: MetricSnapshot[] }>('metrics', ({ id, snapshots }) => {
      seat.lastMetrics = snapshots;
      this.#scrapes.get(id)?.(snapshots);
    });
    return new Promise((resolve, reject) => {
      channel.on<Listening>('listening', (listening) => {
        seat.listening = true;
        resolve(listening);
      });
      channel.on<{ message: string; code?: string }>('failed', ({ message, code }) => {
        reject(Object.assign(new Error(message), { code }));
      });
      worker.on('error', (error: Error) => {
        this.#options.log('error', 'a worker failed', { worker: index, error: String(error.stack ?? error) });
        reject(error);
      });
      worker.on('exit', () => {
        this.#options.detach(channel, index);
        this.#departed = mergeSnapshots([
          this.#departed,
          seat.lastMetrics.filter(({ type }) => type !== 'gauge'),
        ]);
        seat.lastMetrics = [];
        const wasListening = seat.listening;
        seat.listening = false;
        if (!this.#stopping && wasListening) this.#replace(index);
      });
    });
  }

  #replace(index: number): void {
    this.#restarts++;
    this.#options.log('warn', 'replacing a worker', { worker: index });
    this.#spawn(index).catch((error: unknown) => {
      this.#options.log('error', 'a replacement worker did not start', {
        worker: index,
        error: String(error),
      });
      if (!this.#stopping) setTimeout(() => this.#replace(index), 1000).unref();
    });
  }

  broadcast(type: string, payload: unknown): void {
    for (const { channel } of this.#seats.values()) channel.send(type, payload);
  }

  /** Metrics of all workers added up; a worker that does not answer in time counts with its last ones. */
  async metrics(timeoutMs = 1000): Promise<MetricSnapshot[]> {
    const all = await Promise.all(
      [...this.#seats.values()].map(
        (seat) =>
          new Promise<MetricSnapshot[]>((resolve) => {
            if (!seat.listening) {
              resolve(seat.lastMetrics);
              return;
            }
            const id = String(++this.#scrapeNumber);
            const timer = setTimeout(() => settle(seat.lastMetrics), timeoutMs);
            const settle = (snapshots: MetricSnapshot[]): void => {
              clearTimeout(timer);
              this.#scrapes.delete(id);
              resolve(snapshots);
            };
            this.#scrapes.set(id, settle);
            seat.channel.send('metrics', { id });
          }),
      ),
    );
    return mergeSnapshots([this.#departed, ...all]);
  }

  /** Lets requests under way end, for up to the drain timeout, then ends the workers. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(
      [...this.#seats.values()].map(
        ({ worker, channel, listening }) =>
          new Promise<void>((resolve) => {
            if (!listening) {
              void worker.terminate().then(() => resolve());
              return;
            }
            const timer = setTimeout(
              () => void worker.terminate(),
              this.#options.config.drainTimeoutMs + 2000,
            );
            worker.on('exit', () => {
              clearTimeout(timer);
              resolve();
            });
            channel.send('drain', null);
          }),
      ),
    );
  }
}
