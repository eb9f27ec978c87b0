import type { CompiledRoute } from '../compile.ts';
import type { Exchange } from '../exchange.ts';
import { type CounterCell, type HistogramCell, type Metrics, observeSeconds } from './metrics.ts';

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

/** Counts every exchange once, at its end. */
export class RequestMetrics {
  readonly #duration: (...labels: string[]) => HistogramCell;
  readonly #upstream: (...labels: string[]) => HistogramCell;
  readonly #refusals: (...labels: string[]) => CounterCell;
  readonly #keyUsage: (...labels: string[]) => CounterCell;
  readonly #limits: (...labels: string[]) => CounterCell;
  readonly #aborted: CounterCell;
  readonly #bytesIn: CounterCell;
  readonly #bytesOut: CounterCell;
  readonly #refusalCells = new Map<string, CounterCell>();
  readonly #limitCells = new Map<string, CounterCell>();
  /** Cells of a route: by status and method, so that the look-up is two array reads. */
  readonly #cells = new WeakMap<CompiledRoute, RouteCells>();

  constructor(metrics: Metrics) {
    this.#duration = metrics.histogram(
      'http_request_duration_seconds',
      'Time from the request head to the end of the response.',
      ['route', 'method', 'status'],
    );
    this.#upstream = metrics.histogram(
      'tollgate_upstream_response_seconds',
      'Time from sending a request to a service to the head of its answer.',
      ['service'],
    );
    this.#refusals = metrics.counter('tollgate_refusals_total', 'Requests that were not forwarded.', [
      'code',
    ]);
    this.#keyUsage = metrics.counter('api_key_usage_total', 'Authenticated requests.', [
      'environment',
      'route',
    ]);
    this.#limits = metrics.counter('tollgate_limit_decisions_total', 'Limit decisions.', ['outcome']);
    this.#aborted = metrics.counter('tollgate_aborted_total', 'Exchanges broken off by client or gateway.')();
    this.#bytesIn = metrics.counter('tollgate_request_body_bytes_total', 'Request body bytes received.')();
    this.#bytesOut = metrics.counter('tollgate_response_body_bytes_total', 'Response body bytes sent.')();
  }

  record(exchange: Exchange, seconds: number): void {
    const route = exchange.route;
    if (route !== null) {
      let cells = this.#cells.get(route);
      if (cells === undefined) {
        cells = {
          duration: [],
          upstream: this.#upstream(route.serviceId),
          usage: { test: this.#keyUsage('test', route.id), live: this.#keyUsage('live', route.id) },
        };
        this.#cells.set(route, cells);
      }
      const method = methods.indexOf(exchange.method);
      const index = exchange.status * 8 + (method < 0 ? 7 : method);
      let cell = cells.duration[index];
      if (cell === undefined) {
        cell = this.#duration(route.id, method < 0 ? 'other' : methods[method]!, String(exchange.status));
        cells.duration[index] = cell;
      }
      observeSeconds(cell, seconds);
      if (exchange.upstreamLatencyMs >= 0) observeSeconds(cells.upstream, exchange.upstreamLatencyMs / 1000);
      if (exchange.key !== null) cells.usage[exchange.key.environment].value++;
    }
    if (exchange.refusalCode !== null)
      cached(this.#refusalCells, exchange.refusalCode, this.#refusals).value++;
    if (exchange.limitOutcome !== null) cached(this.#limitCells, exchange.limitOutcome, this.#limits).value++;
    if (exchange.aborted) this.#aborted.value++;
    this.#bytesIn.value += exchange.bytesIn;
    this.#bytesOut.value += exchange.bytesOut;
  }
}

interface RouteCells {
  readonly duration: (HistogramCell | undefined)[];
  readonly upstream: HistogramCell;
  readonly usage: { readonly test: CounterCell; readonly live: CounterCell };
}

function cached(
  map: Map<string, CounterCell>,
  name: string,
  make: (name: string) => CounterCell,
): CounterCell {
  let cell = map.get(name);
  if (cell === undefined) {
    cell = make(name);
    map.set(name, cell);
  }
  return cell;
}
