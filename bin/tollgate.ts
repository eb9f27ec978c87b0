#!/usr/bin/env node
import { type Command, CommandError, formatHelp, parseCommand, UsageError } from './command.ts';
import { endWithSupervisor } from './lifetime.ts';

/** Every command, loaded when it is used. A command of two words has its own line. */
const commands: Record<string, () => Promise<{ readonly command: Command }>> = {
  start: () => import('./commands/start.ts'),
  gateway: () => import('./commands/gateway.ts'),
  'control-plane': () => import('./commands/control-plane.ts'),
  'keys create': () => import('./commands/keys-create.ts'),
  'keys list': () => import('./commands/keys-list.ts'),
  'keys rotate': () => import('./commands/keys-rotate.ts'),
  'keys revoke': () => import('./commands/keys-revoke.ts'),
  apply: () => import('./commands/apply.ts'),
  export: () => import('./commands/export.ts'),
  rollback: () => import('./commands/rollback.ts'),
  history: () => import('./commands/history.ts'),
  'keys import': () => import('./commands/keys-import.ts'),
  'secrets rewrap': () => import('./commands/secrets-rewrap.ts'),
  usage: () => import('./commands/usage.ts'),
  'audit verify': () => import('./commands/audit-verify.ts'),
  'cache purge': () => import('./commands/cache-purge.ts'),
  token: () => import('./commands/token.ts'),
  sandbox: () => import('./commands/sandbox.ts'),
};

async function formatOverview(prefix: string): Promise<string> {
  const names = Object.keys(commands).filter((name) => name.startsWith(prefix));
  const width = Math.max(...names.map((name) => name.length));
  const rows = await Promise.all(
    names.map(async (name) => `  ${name.padEnd(width)}  ${(await commands[name]!()).command.summary}`),
  );
  return `Usage: tollgate COMMAND [flags]\n\nCommands:\n${rows.join('\n')}\n\n"tollgate COMMAND --help" tells more.\n`;
}

/** Runs one command line and returns its exit code. */
async function main(args: readonly string[]): Promise<number> {
  const [first = ''] = args;
  if (args.length === 0 || first === '--help' || first === '-h' || first === 'help') {
    process.stdout.write(await formatOverview(''));
    return args.length === 0 ? 2 : 0;
  }
  const two = args.slice(0, 2).join(' ');
  const name = two in commands ? two : first;
  const load = commands[name];
  if (!load) {
    const group = Object.keys(commands).some((known) => known.startsWith(`${first} `));
    if (group && (args.length === 1 || args[1] === '--help' || args[1] === '-h')) {
      process.stdout.write(await formatOverview(`${first} `));
      return args.length === 1 ? 2 : 0;
    }
    throw new UsageError(
      `unknown command ${JSON.stringify(group ? two : first)}; "tollgate --help" lists all`,
    );
  }
  const { command } = await load();
  let parsed: ReturnType<typeof parseCommand>;
  try {
    parsed = parseCommand(command, args.slice(name.split(' ').length));
  } catch (error) {
    if (error instanceof UsageError) {
      throw new UsageError(`${name}: ${error.message}; "tollgate ${name} --help" tells more`);
    }
    throw error;
  }
  if (parsed.help) {
    process.stdout.write(formatHelp(name, command));
    return 0;
  }
  return (await command.run(parsed.values as never, parsed.operands)) ?? 0;
}

/** Says what is wrong, to the supervisor or to the user, and ends whatever has been started. */
function fail(error: CommandError): void {
  const exit = (): never => process.exit(error.exitCode);
  if (process.send) process.send({ type: 'failed', message: error.message }, exit);
  else {
    if (process.argv.includes('--json')) console.error(JSON.stringify({ error: error.message }));
    else for (const line of error.message.split('\n')) console.error(`tollgate: ${line}`);
    exit();
  }
}

endWithSupervisor();
try {
  process.exitCode = await main(process.argv.slice(2));
  if (process.connected) process.disconnect?.();
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  fail(error);
}
