import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort, type RunningProcess, runCommand, startProcess } from './processes.ts';
import { makeFolder, removeFolder } from './temporary-folder.ts';
import { cacheFolder, findTool } from './tools.ts';

/** A private one-broker Kafka in KRaft mode, keeping its data across `kill` and `start`. */
export interface TestKafka {
  /** `127.0.0.1:port`. */
  readonly broker: string;
  createTopic(name: string, partitions: number): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  /** Comes back on the same port with what it had stored. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

const version = '4.1.1';
const library = join(cacheFolder, `kafka-${version}`);

const project = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>test</groupId><artifactId>kafka-runtime</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version></dependency>
  </dependencies>
</project>`;

function isResolved(): boolean {
  try {
    return readdirSync(library).some((name) => name === `kafka_2.13-${version}.jar`);
  } catch {
    return false;
  }
}

/**
 * Why Kafka cannot be started here, or null. Its jars come from Maven Central, once, into the cache folder.
 * On CI (`CI` set) a missing Kafka is an error, not a reason to skip.
 */
export async function findKafka(): Promise<string | null> {
  try {
    if (!findTool('java')) throw new Error('java is not installed: apt-get install default-jre-headless');
    if (isResolved()) return null;
    if (!findTool('mvn')) throw new Error('mvn is not installed: apt-get install maven');
    const folder = makeFolder('kafka-jars');
    writeFileSync(join(folder, 'pom.xml'), project);
    await runCommand('mvn', [
      ...['-q', '-B', '-f', join(folder, 'pom.xml')],
      ...[
        'dependency:copy-dependencies',
        '-DincludeScope=runtime',
        `-DoutputDirectory=${join(folder, 'jars')}`,
      ],
    ]);
    mkdirSync(cacheFolder, { recursive: true });
    await runCommand('cp', ['-r', join(folder, 'jars'), `${library}.${process.pid}`]);
    try {
      renameSync(`${library}.${process.pid}`, library);
    } catch (error) {
      if (!isResolved()) throw error;
    }
    removeFolder(folder);
    return null;
  } catch (error) {
    if (process.env.CI) throw error;
    return `Kafka cannot be had: ${(error as Error).message.split('\n')[0]}`;
  }
}

export async function startKafka(): Promise<TestKafka> {
  const folder = makeFolder('kafka');
  const port = await findFreePort();
  const controllerPort = await findFreePort();
  const properties = join(folder, 'server.properties');
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': join(folder, 'data'),
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    'auto.create.topics.enable': false,
    'message.max.bytes': 4_000_000,
    'log.flush.interval.messages': 1,
    // A broker that was killed is fenced for this long before it may come back.
    'broker.session.timeout.ms': 2000,
    'broker.heartbeat.interval.ms': 500,
  };
  writeFileSync(
    properties,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const java = (...args: string[]): string[] => [
    '-Xmx256m',
    '-XX:TieredStopAtLevel=1',
    '-cp',
    `${library}/*`,
    ...args,
  ];
  await runCommand(
    'java',
    java('kafka.tools.StorageTool', 'format', '-t', 'MkU3OEVBNTcwNTJENDM2Qk', '-c', properties),
  );
  let started: RunningProcess | null = null;
  const start = async (): Promise<void> => {
    started = startProcess('java', java('kafka.Kafka', properties));
    await waitForBroker(port, started);
  };
  await start();
  const kill = async (): Promise<void> => {
    started?.kill('SIGKILL');
    await started?.ended;
    started = null;
  };
  return {
    broker: `127.0.0.1:${port}`,
    async createTopic(name, partitions) {
      const { Admin } = await import('@platformatic/kafka');
      const admin = new Admin({ clientId: 'test', bootstrapBrokers: [`127.0.0.1:${port}`] });
      try {
        await admin.createTopics({ topics: [name], partitions, replicas: 1 });
      } finally {
        await admin.close();
      }
    },
    kill,
    start,
    async stop() {
      await kill();
      removeFolder(folder);
    },
  };
}

/** The broker answers for itself: it has registered and knows who leads. */
async function waitForBroker(port: number, broker: RunningProcess): Promise<void> {
  const { Admin } = await import('@platformatic/kafka');
  const deadline = performance.now() + 60_000;
  for (;;) {
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: [`127.0.0.1:${port}`], retries: 0 });
    try {
      const metadata = await admin.metadata({ topics: [] });
      if (metadata.brokers.size > 0) return;
    } catch (error) {
      if (broker.child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`Kafka did not start: ${(error as Error).message}\n${broker.output().slice(-4000)}`);
      }
    } finally {
      await admin.close().catch(() => {});
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
