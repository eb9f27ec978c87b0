import swagger from '@fastify/swagger';
import Type, { type TSchema } from 'typebox';
import { type ProblemCode, problemMediaType, problems } from '#contract/problems.ts';
import type { App } from '../context.ts';
import { type ReferenceDocument, referencePolicy, renderReference } from './reference.ts';

const problemSchema = Type.Object({
  type: Type.String({ examples: ['urn:tollgate:problem:not_found'] }),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String({ description: 'Stable.' }),
  detail: Type.String(),
  instance: Type.Optional(Type.String()),
  errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
});

interface DocumentedReply {
  description: string;
  content: Record<string, { schema: TSchema }>;
}

/** The replies of an endpoint that refuses with these problems, for its `response` schema. */
export function problemReplies(...codes: ProblemCode[]): Record<number, DocumentedReply> {
  const replies: Record<number, DocumentedReply> = {};
  for (const code of [...codes, 'malformed_request', 'rate_limited', 'unavailable'] as ProblemCode[]) {
    const { status } = problems[code];
    const names = replies[status] ? `${replies[status].description}, ${code}` : code;
    replies[status] = { description: names, content: { [problemMediaType]: { schema: problemSchema } } };
  }
  return replies;
}

const description = `Errors are \`application/problem+json\` (RFC 9457) with a stable \`code\`.
Lists come in pages: pass \`next_cursor\` of a reply as \`cursor\` for the next one.`;

/** Collects the routes that are added after it into an OpenAPI 3.1 document, served at \`/openapi.json\`. */
export async function addOpenApi(app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Tollgate control plane',
        version,
        description,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        { name: 'developer', description: 'Apps and keys of an account.' },
        { name: 'operator', description: 'Configuration and administration.' },
        { name: 'identity', description: 'Signing in to the console.' },
        { name: 'registry', description: 'What gateways follow.' },
        { name: 'onboarding', description: 'Onboarding of tenants, for applications with a master key.' },
        { name: 'process', description: 'Health and metrics.' },
      ],
      components: {
        securitySchemes: {
          developer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
          operator: { type: 'http', scheme: 'bearer' },
          gateway: { type: 'http', scheme: 'bearer' },
          masterKey: { type: 'apiKey', in: 'header', name: 'X-Master-Key' },
          session: { type: 'apiKey', in: 'cookie', name: 'tollgate_session' },
        },
      },
    },
  });
  app.get('/openapi.json', { schema: { hide: true } }, () => describe(app));
  app.get('/docs', { schema: { hide: true } }, (_request, reply) =>
    reply
      .headers({ 'content-type': 'text/html; charset=utf-8', 'content-security-policy': referencePolicy })
      .send(renderReference(describe(app) as ReferenceDocument)),
  );
}

/** The document, with bodies that may be absent marked so: an absent body counts as an empty object. */
function describe(app: App): object {
  const document = app.swagger() as {
    paths?: Record<string, Record<string, { requestBody?: { required?: boolean; content?: Content } }>>;
  };
  for (const methods of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(methods)) {
      const schema = operation.requestBody?.content?.['application/json']?.schema;
      if (schema && (schema.required ?? []).length === 0) operation.requestBody!.required = false;
    }
  }
  return document;
}

type Content = Record<string, { schema?: { required?: string[] } }>;

type Security = readonly { readonly [scheme: string]: readonly string[] }[];

/** Who may call an endpoint, for its `security` schema. */
export const callers = {
  developer: [{ developer: [] }, { operator: [] }] as Security,
  operator: [{ operator: [] }] as Security,
  gateway: [{ gateway: [] }] as Security,
  session: [{ session: [] }] as Security,
};
