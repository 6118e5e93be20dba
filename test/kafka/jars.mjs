// Fetches the jars of a Kafka version into .cache/tools through Maven. A finished folder is used as it is: no network, no mvn.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The line that all Kafka tests run on, and the older one that the contract suite runs on too. */
export const KAFKA_VERSIONS = { newest: '4.4.0', older: '3.9.2' };

const cache = new URL('../../.cache/tools', import.meta.url).pathname;

const dependency = (group, artifact, version) =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;

/** Without a binding for its log a broker that fails to start says nothing. */
const binding = (version) =>
  version.startsWith('3.')
    ? dependency('org.slf4j', 'slf4j-reload4j', '1.7.36')
    : dependency('org.apache.logging.log4j', 'log4j-slf4j-impl', '2.25.5');

const project = (version) => `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>org.angarium</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>${dependency('org.apache.kafka', 'kafka_2.13', version)}${binding(version)}</dependencies>
</project>`;

const run = (command, args) => execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });

/**
 * Folder of the jars; fetched when they are not there.
 *
 * @throws when Maven is missing or cannot reach its repository
 */
export function fetchJars(version) {
  const folder = join(cache, `kafka-${version}`);
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    writeFileSync(join(unfinished, 'pom.xml'), project(version));
    run('mvn', ['-B', '-q', '-f', join(unfinished, 'pom.xml'), 'dependency:copy-dependencies', `-DoutputDirectory=${unfinished}`]);
    // Complete or absent; another process may have been first.
    if (!existsSync(folder)) renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/** Why brokers cannot run here; undefined when they can. */
export function brokersMissing(version) {
  try {
    run('java', ['-version']);
    fetchJars(version);
    return undefined;
  } catch (error) {
    return (error.stderr?.trim() || error.message).split('\n')[0];
  }
}

/** What `npm run tools` does about Kafka. */
export function fetchKafka() {
  for (const version of Object.values(KAFKA_VERSIONS)) {
    const missing = brokersMissing(version);
    if (missing === undefined) console.log(`tools: Kafka ${version} in .cache/tools/kafka-${version}`);
    else console.log(`TOOLS MISSING: Kafka ${version} cannot run here (${missing}). Tests that need it are left out, or fail in CI.`);
  }
}
