import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configKeys } from './keys.ts';
import { formatConfigError, loadConfig } from './load.ts';

const load = (text: string, environment: Record<string, string> = {}) => loadConfig({ file: { name: 'a.yaml', text }, environment });
const errorsOf = (text: string, environment: Record<string, string> = {}) => {
  const loaded = load(text, environment);
  return loaded.is === 'invalid' ? loaded.errors.map(formatConfigError) : [];
};

test('nothing configured is a valid configuration with every default', () => {
  const loaded = loadConfig({ environment: {} });
  assert.equal(loaded.is === 'valid' && loaded.config.ingress.maxRecipients, 1000);
});

test('durations and sizes take units', () => {
  const loaded = load('delivery: {lifetimeMs: 2d, retryMs: [1m, 90s]}\ningress:\n  maxMessageOctets: 10MiB\n');
  assert.ok(loaded.is === 'valid');
  assert.equal(loaded.config.delivery.lifetimeMs, 172_800_000);
  assert.deepEqual(loaded.config.delivery.retryMs, [60_000, 90_000]);
  assert.equal(loaded.config.ingress.maxMessageOctets, 10_485_760);
});

test('every error is told with file, line and key', () => {
  assert.deepEqual(errorsOf('hostname: mx\ningress:\n  maxRecipient: 5\n  maxErrors: none\n  commandTimeoutMs: 5 parsecs\n'), [
    'a.yaml:4: ingress.maxErrors: Invalid input: expected number, received string',
    'a.yaml:5: ingress.commandTimeoutMs: wants a length of time: a whole number, or a number with one of ms, s, m, h, d',
    'a.yaml:3: ingress.maxRecipient: no such key',
  ]);
});

test('broken YAML is told with its line', () => {
  assert.match(errorsOf('a: [1\nb: 2\n').join(), /^a\.yaml:\d: /);
});

test('the environment wins over the file, and its mistakes name the variable', () => {
  const loaded = load('hostname: from-file\n', { ANGARIUM_HOSTNAME: 'from-environment', ANGARIUM_INGRESS__MX__LISTEN: '["0.0.0.0:25"]' });
  assert.ok(loaded.is === 'valid');
  assert.equal(loaded.config.hostname, 'from-environment');
  assert.deepEqual(loaded.config.ingress.mx.listen, ['0.0.0.0:25']);
  assert.deepEqual(errorsOf('', { ANGARIUM_HOSTNAMES: 'x' }), [
    'ANGARIUM_HOSTNAMES: no such key; docs/reference/configuration.md lists them',
  ]);
  assert.match(errorsOf('', { ANGARIUM_INGRESS__MAX_ERRORS: 'x' }).join(), /^ANGARIUM_INGRESS__MAX_ERRORS: ingress\.maxErrors: /);
});

test('a variable that is no YAML, or whose section is no section in the file, is told as a mistake', () => {
  assert.match(errorsOf('', { ANGARIUM_INGRESS__MAX_ERRORS: '[1' }).join(), /^ANGARIUM_INGRESS__MAX_ERRORS: ingress\.maxErrors: /);
  assert.match(errorsOf('ingress: 5\n', { ANGARIUM_INGRESS__MAX_ERRORS: '1' }).join(), /^a\.yaml:1: ingress: /);
  assert.match(errorsOf('text\n', { ANGARIUM_INGRESS__MAX_ERRORS: '1' }).join(), /^a\.yaml: /);
});

test('gRPC on an open address without mutual TLS is an error', () => {
  assert.deepEqual(errorsOf('directoryListen: 0.0.0.0:2601\n').length, 1);
  assert.deepEqual(errorsOf('directoryListen: 127.0.0.1:2601\nmailboxAt: unix:/run/m.sock\n'), []);
});

test('a bucket is wanted for S3, nothing is kept in folders then, and each mistake names its line', () => {
  assert.deepEqual(errorsOf('blobs: {engine: s3, s3: {bucket: mail, prefix: a/b/, endpoint: "http://127.0.0.1:7070"}}\n'), []);
  assert.deepEqual(errorsOf('blobFolder: b\nblobs:\n  engine: s3\nmailbox:\n  blobFolder: m\n'), [
    'a.yaml:3: blobs.s3.bucket: wants the name of a bucket: blobs.engine is s3',
    'a.yaml:1: blobFolder: nothing is kept in a folder: blobs.engine is s3',
    'a.yaml:5: mailbox.blobFolder: nothing is kept in a folder: blobs.engine is s3',
  ]);
  assert.deepEqual(errorsOf('', { ANGARIUM_BLOBS__ENGINE: 's3' }), [
    'a.yaml: blobs.s3.bucket: wants the name of a bucket: blobs.engine is s3',
  ]);
  for (const prefix of ['a', '/', 'a//', '../', 'a b/', '.a/'])
    assert.match(
      errorsOf(`blobs:\n  s3:\n    prefix: ${JSON.stringify(prefix)}\n`).join(),
      /^a\.yaml:3: blobs\.s3\.prefix: wants /,
      prefix,
    );
  for (const endpoint of ['s3.example', 'ftp://s3.example', 'https://s3.example/path', 'https://key:secret@s3.example', 'http://:1'])
    assert.match(errorsOf(`blobs:\n  s3:\n    endpoint: ${endpoint}\n`).join(), /^a\.yaml:3: blobs\.s3\.endpoint: wants a URL/, endpoint);
});

test('PostgreSQL wants its server, and mailboxes on it a place for large messages that all reach', () => {
  assert.deepEqual(errorsOf('routing: {directoryEngine: postgres}\nmailbox: {storeEngine: postgres, blobFolder: m}\n'), [
    'a.yaml:1: routing.directoryEngine: wants a server: the key postgres',
    'a.yaml:2: mailbox.storeEngine: wants a server: the key postgres',
  ]);
  const server = 'postgres: {host: h, database: d, user: u}\n';
  assert.deepEqual(errorsOf(`${server}mailbox: {storeEngine: postgres}\n`), [
    'a.yaml:2: mailbox.storeEngine: wants a place for large messages that all processes reach: mailbox.blobFolder, or blobs.engine s3',
  ]);
  assert.deepEqual(errorsOf(`${server}mailbox: {storeEngine: postgres}\nblobs: {engine: s3, s3: {bucket: mail}}\n`), []);
});

test('every key says what it means', () => {
  assert.deepEqual(
    configKeys().filter((key) => key.description === ''),
    [],
  );
});
