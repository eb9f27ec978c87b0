import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from './command.ts';

/** Base URLs of a running instance, as `DIR/endpoints.json` has them. */
export interface Endpoints {
  readonly gateway: string;
  readonly admin: string;
  readonly control: string;
  readonly sandbox: string;
  /** Where TLS is on. */
  readonly gateway_tls?: string;
}

/** Where the control plane is and what opens it. */
export interface ControlAddress {
  readonly url: string;
  readonly token: string;
}

export const defaultDataDir = '.tollgate';
export const endpointsFile = 'endpoints.json';
export const operatorTokenFile = 'operator.token';

/** Flags of every command that talks to a control plane. */
export const controlFlags = {
  'data-dir': {
    kind: 'text',
    value: 'DIR',
    summary: `Data folder of the running instance, when no --control is given; else ${defaultDataDir}`,
  },
  control: { kind: 'text', value: 'URL', summary: 'Control plane; also TOLLGATE_CONTROL_URL' },
  token: { kind: 'text', value: 'TOKEN', summary: 'Bearer token; also TOLLGATE_TOKEN' },
  json: { kind: 'boolean', summary: 'Print JSON' },
} as const;

/** Finds the control plane: flags first, then a data folder that was named, then the environment, then ./.tollgate. */
export function findControl(values: {
  readonly 'data-dir': string | undefined;
  readonly control: string | undefined;
  readonly token: string | undefined;
}): ControlAddress {
  const dataDir = values['data-dir'];
  const fromEnvironment = dataDir === undefined ? process.env.TOLLGATE_CONTROL_URL : undefined;
  const url = values.control ?? fromEnvironment ?? readEndpoints(dataDir ?? defaultDataDir).control;
  const token =
    values.token ??
    (dataDir === undefined ? process.env.TOLLGATE_TOKEN : undefined) ??
    readToken(dataDir ?? defaultDataDir);
  return { url: url.replace(/\/+$/, ''), token };
}

export function readEndpoints(dataDir: string): Endpoints {
  try {
    return JSON.parse(readFileSync(join(dataDir, endpointsFile), 'utf8')) as Endpoints;
  } catch {
    throw new CommandError(
      `nothing runs with the data folder ${dataDir}; start it with "npm start", or give --control and --token`,
    );
  }
}

function readToken(dataDir: string): string {
  try {
    return readFileSync(join(dataDir, operatorTokenFile), 'utf8').trim();
  } catch {
    throw new CommandError(`cannot read ${join(dataDir, operatorTokenFile)}; give --token`);
  }
}
