import { parseArgs } from 'node:util';

/** One flag of a command. `integer` is at least 1, `count` at least 0, and a `port` 0 asks for any free one. */
export interface Flag {
  readonly kind: 'text' | 'boolean' | 'integer' | 'count' | 'port';
  readonly summary: string;
  /** What stands for the value in the help, for example DIR. */
  readonly value?: string;
  readonly many?: boolean;
  readonly required?: boolean;
  readonly choices?: readonly string[];
  readonly default?: string | number;
}

type FlagValue<F extends Flag> = F['kind'] extends 'boolean'
  ? boolean
  : F['kind'] extends 'integer' | 'count' | 'port'
    ? number
    : string;

/** Values by flag name: absent ones are undefined unless they have a default or are required; booleans are false. */
export type Values<F extends Record<string, Flag>> = {
  readonly [K in keyof F]: F[K]['many'] extends true
    ? readonly FlagValue<F[K]>[]
    : F[K]['kind'] extends 'boolean'
      ? boolean
      : F[K] extends { readonly default: string | number } | { readonly required: true }
        ? FlagValue<F[K]>
        : FlagValue<F[K]> | undefined;
};

/** A command of the command line. `run` returns the exit code, or nothing for 0; it throws {@link CommandError}. */
export interface Command<F extends Record<string, Flag> = Record<string, Flag>> {
  readonly summary: string;
  /** Longer help, printed below the usage. */
  readonly description?: string;
  /** Names of the words that follow the command, in order; "[NAME]" marks an optional one. */
  readonly operands?: readonly string[];
  readonly flags: F;
  run(values: Values<F>, operands: readonly string[]): Promise<number | undefined> | number | undefined;
}

/** Ties the type of `run` to the flags. */
export function defineCommand<const F extends Record<string, Flag>>(command: Command<F>): Command {
  return command as unknown as Command;
}

/** Something the user can mend: printed as it is, without a stack. */
export class CommandError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command line itself is wrong. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(message, 2);
  }
}

export interface ParsedCommand {
  readonly help: boolean;
  readonly values: Record<string, unknown>;
  readonly operands: readonly string[];
}

/** Parses the words after a command's name; throws a {@link UsageError} for anything it does not know. */
export function parseCommand(command: Command, args: readonly string[]): ParsedCommand {
  const options: Record<string, { type: 'string' | 'boolean'; multiple: boolean; short?: string }> = {
    help: { type: 'boolean', multiple: false, short: 'h' },
  };
  for (const [name, flag] of Object.entries(command.flags)) {
    options[name] = { type: flag.kind === 'boolean' ? 'boolean' : 'string', multiple: flag.many ?? false };
  }
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const [message = ''] = (error as Error).message.split('. ');
    throw new UsageError(message);
  }
  if (parsed.values.help) return { help: true, values: {}, operands: [] };
  const expected = command.operands ?? [];
  if (parsed.positionals.length > expected.length) {
    throw new UsageError(`unexpected ${JSON.stringify(parsed.positionals[expected.length])}`);
  }
  const missing = expected.slice(parsed.positionals.length).find((name) => !name.startsWith('['));
  if (missing) throw new UsageError(`${missing} is missing`);
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(command.flags)) {
    const given = parsed.values[name];
    if (given === undefined) {
      if (flag.required) throw new UsageError(`--${name} is required`);
      values[name] = flag.many ? [] : flag.kind === 'boolean' ? false : flag.default;
    } else if (Array.isArray(given)) values[name] = given.map((one) => parseValue(name, flag, one));
    else values[name] = parseValue(name, flag, given as string | boolean);
  }
  return { help: false, values, operands: parsed.positionals };
}

function parseValue(name: string, flag: Flag, given: string | boolean): string | number | boolean {
  if (typeof given === 'boolean') return given;
  if (flag.choices && !flag.choices.includes(given)) {
    throw new UsageError(`--${name} must be ${flag.choices.join(' or ')}, not ${JSON.stringify(given)}`);
  }
  if (flag.kind === 'text') return given;
  const number = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  const valid = flag.kind === 'port' ? number <= 65_535 : number >= (flag.kind === 'count' ? 0 : 1);
  if (!valid) {
    const expected =
      flag.kind === 'port'
        ? 'a port from 0 to 65535'
        : flag.kind === 'count'
          ? 'a whole number'
          : 'a positive integer';
    throw new UsageError(`--${name} must be ${expected}, not ${JSON.stringify(given)}`);
  }
  return number;
}

/** The help of one command. */
export function formatHelp(name: string, command: Command): string {
  const lines = [
    command.summary,
    '',
    `Usage: tollgate ${[name, ...(command.operands ?? [])].join(' ')} [flags]`,
  ];
  if (command.description) lines.push('', command.description);
  const rows = Object.entries(command.flags).map(([flagName, flag]): [string, string] => {
    const value = flag.kind === 'boolean' ? '' : ` ${flag.choices?.join('|') ?? flag.value ?? 'N'}`;
    const notes: string[] = [];
    if (flag.required) notes.push('required');
    if (flag.many) notes.push('may be repeated');
    if (flag.default !== undefined) notes.push(`default ${flag.default}`);
    return [`--${flagName}${value}`, flag.summary + (notes.length > 0 ? ` (${notes.join('; ')})` : '')];
  });
  rows.push(['--help', 'Show this help']);
  const width = Math.max(...rows.map(([left]) => left.length));
  lines.push('', 'Flags:', ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`));
  return `${lines.join('\n')}\n`;
}
