import Type from 'typebox';
import { originOf } from '../audit/record.ts';
import type { FastifyRequest, Feature } from '../context.ts';
import { checkPrecondition, sendTagged } from '../http/entity-tag.ts';
import { callers, problemReplies } from '../http/openapi.ts';
import { makePage, pageQuery, parseCursor } from '../http/pagination.ts';
import { notFound, ProblemError } from '../http/problem.ts';
import { requireRole } from '../identity/caller.ts';
import { ensureAccount } from '../identity/users.ts';
import { type AccountRow, findAccount, listAccounts, listMemberships, updateAccount } from './queries.ts';
import {
  type AccountReply,
  accountAdministration,
  accountBody,
  accountChange,
  accountList,
  accountParams,
  accountReply,
  membershipReply,
} from './schema.ts';

function presentAccount(row: AccountRow): AccountReply {
  return {
    account_id: row.id,
    email: row.email,
    name: row.name,
    status: row.status,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** Accounts: the developer's own, and all of them for the operator. */
export const accounts: Feature = (app, context) => {
  const { db, audit, auth } = context;
  const developer = { tags: ['developer'], security: callers.developer };
  const operator = { tags: ['operator'], security: callers.operator };

  function ownAccount(request: FastifyRequest) {
    const caller = request.caller;
    if (caller?.kind !== 'developer') throw new ProblemError('forbidden', 'An operator has no account.');
    return caller;
  }

  async function change(
    request: FastifyRequest,
    accountId: string,
    wanted: { name?: string; status?: AccountRow['status'] },
  ): Promise<AccountReply> {
    return await db.transaction(async (tx) => {
      const row = await findAccount(tx, accountId, true);
      if (!row) throw notFound('account');
      checkPrecondition(request, presentAccount(row));
      const next = await updateAccount(tx, {
        ...row,
        name: wanted.name?.trim() ?? row.name,
        status: wanted.status ?? row.status,
      });
      await audit.record(tx, originOf(request), {
        action: 'account.update',
        accountId,
        target: { account_id: accountId },
        before: presentAccount(row),
        after: presentAccount(next),
      });
      return presentAccount(next);
    });
  }

  app.get(
    '/api/dev/account',
    {
      onRequest: auth.developer,
      schema: {
        ...developer,
        operationId: 'getAccount',
        summary: 'Get the account one acts in',
        response: { 200: membershipReply, ...problemReplies('credentials_invalid', 'forbidden') },
      },
    },
    async (request) => {
      const caller = ownAccount(request);
      return { ...presentAccount((await findAccount(db, caller.accountId))!), role: caller.role };
    },
  );

  app.get(
    '/api/dev/accounts',
    {
      onRequest: auth.developer,
      schema: {
        ...developer,
        operationId: 'listMemberships',
        summary: 'List the accounts one is a member of',
        description:
          'To act in another than the first, name it in the query parameter "account" of any request.',
        response: {
          200: Type.Object({ data: Type.Array(membershipReply) }),
          ...problemReplies('credentials_invalid', 'forbidden'),
        },
      },
    },
    async (request) => ({
      data: (await listMemberships(db, ownAccount(request).userId)).map((row) => ({
        ...presentAccount(row),
        role: row.role,
      })),
    }),
  );

  app.patch(
    '/api/dev/account',
    {
      onRequest: auth.developer,
      schema: {
        ...developer,
        operationId: 'updateAccount',
        summary: 'Rename the account',
        body: accountChange,
        response: {
          200: accountReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'precondition_failed', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      requireRole(request, 'owner');
      return sendTagged(request, reply, await change(request, ownAccount(request).accountId, request.body));
    },
  );

  app.get(
    '/admin/v1/accounts',
    {
      onRequest: auth.operator,
      schema: {
        ...operator,
        operationId: 'listAccounts',
        summary: 'List accounts',
        querystring: Type.Object(pageQuery),
        response: {
          200: accountList,
          ...problemReplies('invalid_parameter', 'credentials_invalid', 'forbidden'),
        },
      },
    },
    async (request) => {
      const { limit = 50, cursor } = request.query;
      const rows = await listAccounts(db, parseCursor(cursor, ['time', 'text']), limit + 1);
      return makePage(rows, limit, presentAccount, (row) => [row.created_at.toISOString(), row.id]);
    },
  );

  app.post(
    '/admin/v1/accounts',
    {
      onRequest: auth.operator,
      schema: {
        ...operator,
        operationId: 'createAccount',
        summary: 'Create an account',
        body: accountBody,
        response: {
          201: accountReply,
          ...problemReplies('credentials_invalid', 'forbidden', 'conflict', 'validation_failed'),
        },
      },
    },
    async (request, reply) => {
      const { email, name } = request.body;
      const made = await db.transaction(async (tx) => {
        const account = await ensureAccount(tx, email, name ?? null);
        if (!account.created)
          throw new ProblemError('conflict', 'An account with this e-mail address exists.');
        const row = (await findAccount(tx, account.id))!;
        await audit.record(tx, originOf(request), {
          action: 'account.create',
          accountId: row.id,
          target: { account_id: row.id },
          after: presentAccount(row),
        });
        return presentAccount(row);
      });
      void reply.code(201).header('location', `/admin/v1/accounts/${made.account_id}`);
      return sendTagged(request, reply, made);
    },
  );

  app.get(
    '/admin/v1/accounts/:accountId',
    {
      onRequest: auth.operator,
      schema: {
        ...operator,
        operationId: 'readAccount',
        summary: 'Get an account',
        params: accountParams,
        response: { 200: accountReply, ...problemReplies('credentials_invalid', 'forbidden', 'not_found') },
      },
    },
    async (request, reply) => {
      const row = await findAccount(db, request.params.accountId);
      if (!row) throw notFound('account');
      return sendTagged(request, reply, presentAccount(row));
    },
  );

  app.patch(
    '/admin/v1/accounts/:accountId',
    {
      onRequest: auth.operator,
      schema: {
        ...operator,
        operationId: 'administerAccount',
        summary: 'Rename, suspend or reactivate an account',
        params: accountParams,
        body: accountAdministration,
        response: {
          200: accountReply,
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
    async (request, reply) =>
      sendTagged(request, reply, await change(request, request.params.accountId, request.body)),
  );
};
