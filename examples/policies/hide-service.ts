import { definePolicy, Type } from '../../gateway/policies/policy.ts';

/** Removes what answers tell of the software behind the gateway, and adds fields that browsers act on. */
export default definePolicy({
  name: 'hide-service',
  place: 'response',
  schema: Type.Object(
    {
      remove: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z0-9-]+$' }))),
      strictTransportSecurity: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false },
  ),
  create({ remove = ['server', 'x-powered-by'], strictTransportSecurity = false }) {
    const names = new Set(remove);
    return ({ responseHeaders }) => {
      for (let i = responseHeaders.length - 2; i >= 0; i -= 2) {
        if (names.has(responseHeaders[i]!)) responseHeaders.splice(i, 2);
      }
      responseHeaders.push('X-Content-Type-Options', 'nosniff');
      if (strictTransportSecurity) responseHeaders.push('Strict-Transport-Security', 'max-age=31536000');
    };
  },
});
