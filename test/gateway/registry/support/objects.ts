import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Change, Key, Route, Service } from '#contract/registry.ts';
import { Channel } from '../../../../gateway/channel.ts';
import type { RoutingInput } from '../../../../gateway/compile.ts';
import type { Registry } from '../../../../gateway/registry/registry.ts';
import { WorkerRegistry } from '../../../../gateway/registry/worker-registry.ts';

export function setKey(id: string, members: Partial<Key> = {}): Change {
  const object: Key = {
    id,
    kind: 'bearer',
    environment: 'test',
    status: 'active',
    secrets: [],
    ...members,
  };
  return { kind: 'key', id, object };
}

export const service: Service = { id: 'payments', targets: { test: [{ url: 'http://127.0.0.1:1' }] } };
export const setService: Change = { kind: 'service', id: service.id, object: service };

export function setRoute(id: string, members: Partial<Route> = {}): Change {
  return { kind: 'route', id, object: { id, service: service.id, path: `/${id}`, ...members } };
}

/** A worker's side of the registry, on this thread, with what it was told. */
export interface PlayedWorker {
  readonly worker: WorkerRegistry;
  readonly routings: RoutingInput[];
  /** Makes the next routing throw. */
  fail: boolean;
  detach(): void;
}

export function attachWorker(registry: Registry): PlayedWorker {
  const { port1, port2 } = new MessageChannel();
  const ports: MessagePort[] = [port1, port2];
  const share = structuredClone(registry.share());
  const main = new Channel(port1);
  registry.attach(main);
  const routings: RoutingInput[] = [];
  const played: PlayedWorker = {
    routings,
    fail: false,
    worker: new WorkerRegistry({
      share,
      channel: new Channel(port2),
      onRouting: (routing) => {
        if (played.fail) {
          played.fail = false;
          throw new Error('this routing does not compile');
        }
        routings.push(routing);
      },
    }),
    detach: () => {
      registry.detach(main);
      for (const port of ports) port.close();
    },
  };
  played.worker.start();
  return played;
}
