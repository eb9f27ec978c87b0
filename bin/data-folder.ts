import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CommandError } from './command.ts';
import { type Endpoints, endpointsFile, operatorTokenFile } from './instance.ts';

/** The folder of an embedded instance. */
export interface DataFolder {
  /** Absolute. */
  readonly path: string;
  readonly operatorToken: string;
  /** What the gateway shows the control plane. */
  readonly gatewayToken: string;
}

/** Opens the folder, made on first use, with its tokens (mode 0600). */
export function openDataFolder(path: string): DataFolder {
  const folder = resolve(path);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK | constants.X_OK);
    return {
      path: folder,
      operatorToken: readOrMakeToken(join(folder, operatorTokenFile), 'op'),
      gatewayToken: readOrMakeToken(join(folder, 'gateway.token'), 'gw'),
    };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandError(`the data folder ${folder} is not writable (${code ?? message})`);
  }
}

function readOrMakeToken(path: string, prefix: string): string {
  try {
    writeFileSync(path, `${prefix}_${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const token = readFileSync(path, 'utf8').trim();
  if (token === '') throw new CommandError(`${path} is empty; remove it to get a new token`);
  return token;
}

/** Tells other commands where this instance is. */
export function writeEndpoints(folder: string, endpoints: Endpoints): void {
  const path = join(folder, endpointsFile);
  writeFileSync(`${path}.new`, `${JSON.stringify(endpoints, null, 2)}\n`);
  renameSync(`${path}.new`, path);
}

export function removeEndpoints(folder: string): void {
  rmSync(join(folder, endpointsFile), { force: true });
}
