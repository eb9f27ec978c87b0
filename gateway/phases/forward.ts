import type { RouteContext } from '../compile.ts';
import type { Dependencies } from '../dependencies.ts';
import { answered, type Phase } from '../pipeline.ts';
import { Refusal, refusal } from '../refusal.ts';
import type { ForwardOptions } from '../upstream/forwarder.ts';

/** What a route's configuration says of forwarding; for every phase that opens upstream calls. */
export function forwardOptions({ route, service }: RouteContext): ForwardOptions {
  return {
    stripPrefix: route.stripPrefix ?? null,
    preserveHost: service?.preserveHost ?? false,
    via: '1.1 tollgate',
  };
}

/** Sends the request to the route's service and streams the answer back. */
export function forward(context: RouteContext, { forwarder }: Dependencies): Phase {
  const { service } = context;
  if (service === null) return () => refusal('unavailable');
  const upstreams = forwarder.upstreamsOf(service);
  const options = forwardOptions(context);
  return (exchange) => {
    const call = forwarder.open(exchange, upstreams, options, exchange);
    if (call instanceof Refusal) return call;
    exchange.call = call;
    if (exchange.bodyPending) exchange.downstream.readBody(exchange);
    return answered;
  };
}
