import { LineCounter, parse, parseDocument } from 'yaml';
import type { z } from 'zod';
import { type ConfigKey, configKeys } from './keys.ts';
import { type Config, configSchema } from './schema.ts';

/** A mistake in the configuration and where it stands. */
export interface ConfigError {
  /** File name, or the variable's name for the environment. */
  readonly where: string;
  /** Counted from 1; absent for the environment. */
  readonly line?: number;
  /** "ingress.maxRecipients"; empty for the whole. */
  readonly key: string;
  readonly message: string;
}

export interface ConfigSources {
  /** YAML text and the name to call it by. */
  readonly file?: { readonly name: string; readonly text: string };
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export type LoadedConfig =
  | { readonly is: 'valid'; readonly config: Config }
  | { readonly is: 'invalid'; readonly errors: readonly ConfigError[] };

const LOOPBACK = /^(unix:|127\.\d+\.\d+\.\d+:|\[::1\]:|localhost:)/;

/**
 * The configuration from a YAML file and the environment, which wins. Every error is reported, not just the first;
 * an unknown key or variable is an error.
 */
export function loadConfig({ file, environment }: ConfigSources): LoadedConfig {
  const errors: ConfigError[] = [];
  const lines = new LineCounter();
  const document = parseDocument(file?.text ?? '', { lineCounter: lines, uniqueKeys: true });
  const name = file?.name ?? '';
  for (const error of document.errors) {
    errors.push({ where: name, line: lines.linePos(error.pos[0]).line, key: '', message: error.message.split('\n')[0] ?? error.code });
  }
  if (errors.length > 0) return { is: 'invalid', errors };
  const raw: unknown = document.toJS() ?? {};
  const fromEnvironment = applyEnvironment(raw, environment, errors);
  const parsed = configSchema.safeParse(raw);
  const lineOf = (path: readonly PropertyKey[]): number | undefined => {
    const nodes = path.map(
      (_, index) => document.getIn(path.slice(0, index + 1), true) as { range?: [number, number, number] } | undefined,
    );
    const range = nodes.findLast((node) => node?.range)?.range;
    return range && lines.linePos(range[0]).line;
  };
  const tell = (path: readonly PropertyKey[], message: string) => {
    const key = path.join('.');
    const variable = fromEnvironment.get(key);
    const line = variable === undefined ? lineOf(path) : undefined;
    errors.push({ where: variable ?? name, ...(line === undefined ? {} : { line }), key, message });
  };
  for (const { path, message } of (parsed.error?.issues ?? []).flatMap(mistakes)) tell(path, message);
  if (parsed.success) for (const { key, message } of contradictions(parsed.data)) tell(key.split('.'), message);
  return parsed.success && errors.length === 0 ? { is: 'valid', config: parsed.data } : { is: 'invalid', errors };
}

/** An issue of zod as one mistake per key. */
function mistakes(issue: z.core.$ZodIssue): readonly { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  if (issue.code !== 'unrecognized_keys') return [issue];
  return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'no such key' }));
}

/** Sets the keys that the environment names; gives the variable's name by key. */
function applyEnvironment(raw: unknown, environment: ConfigSources['environment'], errors: ConfigError[]): ReadonlyMap<string, string> {
  const keys = new Map<string, ConfigKey>(configKeys().map((key) => [key.environment, key]));
  const applied = new Map<string, string>();
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith('ANGARIUM_') || variable === 'ANGARIUM_CONFIG' || text === undefined) continue;
    const key = keys.get(variable);
    if (key === undefined) {
      errors.push({ where: variable, key: '', message: 'no such key; docs/reference/configuration.md lists them' });
      continue;
    }
    setIn(raw, key.path, key.type === 'string' ? text : parseValue(text));
    applied.set(key.path.join('.'), variable);
  }
  return applied;
}

/** Text that is no YAML stays text: the schema says then what it wanted. */
function parseValue(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** Leaves alone what the file made no section: the schema tells that. */
function setIn(root: unknown, path: readonly string[], value: unknown): void {
  let at = root;
  for (const [index, part] of path.entries()) {
    if (typeof at !== 'object' || at === null) return;
    const section = at as Record<string, unknown>;
    if (index === path.length - 1) section[part] = value;
    else section[part] ??= {};
    at = section[part];
  }
}

type Contradiction = Pick<ConfigError, 'key' | 'message'>;

/** What no single key can tell. */
function contradictions(config: Config): Contradiction[] {
  const errors: Contradiction[] = [];
  const open = (key: string, address: string) => {
    const isLocal =
      address === '' ||
      address
        .replace(/^dns:\/\/\//, '')
        .split(',')
        .every((one) => LOOPBACK.test(one));
    if (!isLocal && config.rpcTls === undefined) {
      errors.push({ key, message: `${address} is not a loopback address or Unix socket: gRPC there needs mutual TLS (rpcTls)` });
    }
  };
  open('directoryListen', config.directoryListen);
  open('directoryAt', config.directoryAt);
  open('mailboxAt', config.mailboxAt);
  open('mailbox.rpcListen', config.mailbox.rpcListen);
  open('delivery.rpcListen', config.delivery.rpcListen);
  open('mailbox.directory', config.mailbox.directory);
  if ((config.tls.certificateFile === undefined) !== (config.tls.keyFile === undefined)) {
    errors.push({ key: 'tls', message: 'certificateFile and keyFile go together' });
  }
  errors.push(...kafkaContradictions(config.kafka), ...blobContradictions(config), ...databaseContradictions(config));
  for (const listener of ['mx', 'submission', 'submissions'] as const)
    if (config.ingress[listener].proxyListen.length > 0 && config.ingress.proxyNetworks.length === 0)
      errors.push({
        key: `ingress.${listener}.proxyListen`,
        message: 'believes nobody: ingress.proxyNetworks names whose PROXY header is',
      });
  const { apiListen, tls } = config.scaling;
  if (apiListen !== '' && (tls.certificateFile === '' || tls.keyFile === ''))
    errors.push({ key: 'scaling.apiListen', message: 'is HTTPS: it needs scaling.tls.certificateFile and keyFile' });
  if (config.ingress.maxRecipients < 100) {
    errors.push({ key: 'ingress.maxRecipients', message: 'at least 100 (RFC 5321 §4.5.3.1.8)' });
  }
  return errors;
}

function kafkaContradictions({ tls, sasl, brokers, replicationFactor, minInSyncReplicas }: Config['kafka']): Contradiction[] {
  const errors: Contradiction[] = [];
  if ((tls.certificateFile === undefined) !== (tls.keyFile === undefined))
    errors.push({ key: 'kafka.tls', message: 'certificateFile and keyFile go together' });
  if (minInSyncReplicas > replicationFactor)
    errors.push({ key: 'kafka.minInSyncReplicas', message: `at most kafka.replicationFactor (${replicationFactor})` });
  if (sasl?.mechanism === 'plain' && !tls.enabled && brokers.some((broker) => !LOOPBACK.test(broker)))
    errors.push({ key: 'kafka.sasl.mechanism', message: 'plain sends the password as it is: it needs kafka.tls.enabled' });
  return errors;
}

function blobContradictions({ blobs, blobFolder, mailbox }: Config): Contradiction[] {
  if (blobs.engine === 'files') return [];
  const errors: Contradiction[] = [];
  if (blobs.s3.bucket === '') errors.push({ key: 'blobs.s3.bucket', message: 'wants the name of a bucket: blobs.engine is s3' });
  for (const [key, folder] of Object.entries({ blobFolder, 'mailbox.blobFolder': mailbox.blobFolder }))
    if (folder !== '') errors.push({ key, message: 'nothing is kept in a folder: blobs.engine is s3' });
  return errors;
}

function databaseContradictions({ postgres, routing, mailbox, blobs }: Config): Contradiction[] {
  const errors: Contradiction[] = [];
  const engines = { 'routing.directoryEngine': routing.directoryEngine, 'mailbox.storeEngine': mailbox.storeEngine };
  for (const [key, engine] of Object.entries(engines))
    if (engine === 'postgres' && postgres === undefined) errors.push({ key, message: 'wants a server: the key postgres' });
  if (mailbox.storeEngine === 'postgres' && mailbox.blobFolder === '' && blobs.engine === 'files') {
    const message = 'wants a place for large messages that all processes reach: mailbox.blobFolder, or blobs.engine s3';
    errors.push({ key: 'mailbox.storeEngine', message });
  }
  return errors;
}

/** "angarium.yaml:12: ingress.maxRecipients: at least 100" */
export function formatConfigError({ where, line, key, message }: ConfigError): string {
  return [`${where}${line === undefined ? '' : `:${line}`}`, key, message].filter((part) => part !== '').join(': ');
}
