import Type, { type TSchema } from 'typebox';
import {
  type DeclaredKind,
  type DeclaredResource,
  declaredKinds,
  parseSections,
  sectionOf,
  toSections,
} from '#contract/sections.ts';
import { originOf } from '../audit/record.ts';
import type { Feature } from '../context.ts';
import { checkPrecondition, sendTagged } from '../http/entity-tag.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { invalid, notFound, ProblemError } from '../http/problem.ts';
import { applyConfiguration } from './apply.ts';
import { readResources } from './queries.ts';
import { resourceParams, resourceSchemaOf } from './schema.ts';

/** Services, routes, versions, plans, each addressable by its id. */
export const resources: Feature = (app, context) => {
  for (const kind of declaredKinds) addKind(app, context, kind);
};

const addKind = (
  app: Parameters<Feature>[0],
  { db, audit, auth }: Parameters<Feature>[1],
  kind: DeclaredKind,
): void => {
  const section = sectionOf(kind);
  const schema: TSchema = resourceSchemaOf(kind);
  const name = kind[0]!.toUpperCase() + kind.slice(1);
  const common = { tags: ['operator'], security: callers.operator };
  const find = (list: readonly DeclaredResource[], id: string): DeclaredResource | undefined =>
    list.find((resource) => resource.kind === kind && resource.id === id);

  app.get(
    `/admin/v1/${section}`,
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: `list${name}s`,
        summary: `List all ${section}`,
        response: {
          200: Type.Object({ data: Type.Array(schema) }),
          ...problemReplies('credentials_invalid', 'forbidden'),
        },
      },
    },
    async () => ({
      data: (await readResources(db)).filter((each) => each.kind === kind).map((each) => each.object),
    }),
  );

  app.get(
    `/admin/v1/${section}/:id`,
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: `get${name}`,
        summary: `Get a ${kind}`,
        params: resourceParams,
        response: { 200: schema, ...problemReplies('credentials_invalid', 'forbidden', 'not_found') },
      },
    },
    async (request, reply) => {
      const found = find(await readResources(db), (request.params as { id: string }).id);
      if (!found) throw notFound(kind);
      return sendTagged(request, reply, found.object);
    },
  );

  app.put(
    `/admin/v1/${section}/:id`,
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: `put${name}`,
        summary: `Set a ${kind}`,
        params: resourceParams,
        body: schema,
        response: {
          200: schema,
          201: schema,
          ...problemReplies('credentials_invalid', 'forbidden', 'precondition_failed', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params as { id: string };
      const object = request.body as { id: string };
      if (object.id !== id)
        throw invalid([{ pointer: '/id', detail: `must be ${JSON.stringify(id)}, as in the path` }]);
      const created = await db.transaction(async (tx) => {
        const current = await readResources(tx);
        const before = find(current, id);
        if (before) checkPrecondition(request, before.object);
        else if (request.headers['if-match'] !== undefined) throw new ProblemError('precondition_failed');
        await applyConfiguration(tx, audit, originOf(request), {
          wanted: [{ kind, id, object } as unknown as DeclaredResource],
          prune: false,
          dryRun: false,
          message: `Set ${kind} ${id}`,
          expectedRevision: null,
        });
        return !before;
      });
      void reply.code(created ? 201 : 200);
      return sendTagged(request, reply, object);
    },
  );

  app.delete(
    `/admin/v1/${section}/:id`,
    {
      onRequest: auth.operator,
      schema: {
        ...common,
        operationId: `delete${name}`,
        summary: `Remove a ${kind}`,
        params: resourceParams,
        response: {
          204: Type.Null({ description: 'Removed.' }),
          ...problemReplies(
            'credentials_invalid',
            'forbidden',
            'not_found',
            'precondition_failed',
            'validation_failed',
          ),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params as { id: string };
      await db.transaction(async (tx) => {
        const current = await readResources(tx);
        const before = find(current, id);
        if (!before) throw notFound(kind);
        checkPrecondition(request, before.object);
        await applyConfiguration(tx, audit, originOf(request), {
          wanted: current.filter((each) => each !== before),
          prune: true,
          dryRun: false,
          message: `Remove ${kind} ${id}`,
          expectedRevision: null,
        });
      });
      return reply.code(204).send(null);
    },
  );
};

/** The resources a body lists, or a problem with every error. */
export function parseResources(
  sections: Readonly<Record<string, unknown>>,
  known: readonly DeclaredResource[],
) {
  const ids: Partial<Record<DeclaredKind, ReadonlySet<string>>> = {};
  for (const [section, objects] of Object.entries(toSections(known))) {
    const kind = declaredKinds.find((each) => sectionOf(each) === section)!;
    ids[kind] = new Set(objects.map((object) => (object as { id: string }).id));
  }
  const parsed = parseSections(sections, ids);
  if (!parsed.ok) {
    const errors = parsed.errors.map((error) => ({ ...error, pointer: `/resources${error.pointer}` }));
    throw new ProblemError('validation_failed', undefined, { errors });
  }
  return parsed.value;
}
