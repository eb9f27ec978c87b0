import type { ReplicatedChange } from './state.ts';

/** What the main thread and a worker say to each other about the registry, over their channel. */

/** Main thread to worker. */
export const registryMessage = 'registry';
/** Worker to main thread. */
export const registryReply = 'registry.applied';

/** What a worker is started with. */
export interface RegistryShare {
  /** The shared key table. */
  readonly table: SharedArrayBuffer;
  /** All services, routes, versions and certificates. */
  readonly objects: readonly ReplicatedChange[];
}

export interface RegistryMessage {
  readonly sequence: number;
  /** Changes to be put in force together. */
  readonly changes: readonly ReplicatedChange[];
  /** Decoded keys are to be forgotten, because space in the table is about to be used again. */
  readonly forget: boolean;
  /** A data key has been opened late: certificates sealed under it can be used now. */
  readonly dataKeyOpened: boolean;
}

export interface RegistryReply {
  readonly sequence: number;
  /** What went wrong, if something did. */
  readonly error: string | null;
}
