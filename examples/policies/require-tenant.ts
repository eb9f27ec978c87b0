import { definePolicy, Refusal, Type } from '../../gateway/policies/policy.ts';

/**
 * Callers say in a field for which tenant they act, and may act only for those in their scopes (`tenant:NAME`). The
 * service gets the tenant in a field that clients cannot set.
 */
export default definePolicy({
  name: 'require-tenant',
  place: 'before_limits',
  schema: Type.Object(
    {
      header: Type.Optional(Type.String({ pattern: '^[a-z0-9-]+$' })),
      upstreamHeader: Type.Optional(Type.String({ pattern: '^[a-z0-9-]+$' })),
    },
    { additionalProperties: false },
  ),
  create({ header = 'x-tenant', upstreamHeader = 'x-verified-tenant' }, { metrics }) {
    const refusals = metrics.counter('policy_tenant_refusals_total', 'Requests for a tenant of others.')();
    const missing = new Refusal('invalid_parameter', [], `Send ${header}.`);
    const foreign = new Refusal('forbidden', [], 'The credential does not permit this tenant.');
    return (exchange) => {
      for (let i = exchange.headers.length - 2; i >= 0; i -= 2) {
        if (exchange.headers[i] === upstreamHeader) exchange.headers.splice(i, 2);
      }
      const tenant = exchange.header(header);
      if (tenant === undefined) return missing;
      if (!exchange.consumer?.scopes.includes(`tenant:${tenant}`)) {
        refusals.value++;
        return foreign;
      }
      exchange.headers.push(upstreamHeader, tenant);
      return undefined;
    };
  },
});
