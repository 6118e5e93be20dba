import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KafkaAccess, SaslMechanism } from '@angarium/log';
import { testTls } from '../fixtures/tls.ts';
import type { Brokers, BrokersOptions } from './brokers.ts';
import { createTrial } from './fixtures.ts';

const LOGIN = 'angarium';
const PASSWORD = 'correct horse';
const MODULES = 'org.apache.kafka.common.security';

const folder = mkdtempSync(join(tmpdir(), 'angarium-kafka-tls-'));
process.once('exit', () => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const authorityFile = file('authority.pem', testTls.cert);

/** A listener with TLS where each mechanism knows our login, and a login is good for a second. */
export const secureListener: Pick<BrokersOptions, 'secure' | 'formatWith'> = {
  secure: {
    protocol: 'SASL_SSL',
    settings: {
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': file('broker.pem', `${testTls.key}${testTls.cert}`),
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.sasl_ssl.plain.sasl.jaas.config': `${MODULES}.plain.PlainLoginModule required user_${LOGIN}="${PASSWORD}";`,
      'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': `${MODULES}.scram.ScramLoginModule required;`,
      'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': `${MODULES}.scram.ScramLoginModule required;`,
      'listener.name.sasl_ssl.connections.max.reauth.ms': '1000',
    },
  },
  formatWith: ['256', '512'].flatMap((bits) => ['--add-scram', `SCRAM-SHA-${bits}=[name=${LOGIN},password=${PASSWORD}]`]),
};

export function securitySuite(brokers: () => Brokers): void {
  const trialWith = (access: Pick<KafkaAccess, 'tls' | 'sasl'>) =>
    createTrial(brokers().secureAddresses, { ...access, partitions: { 'mail.in': 2 } });
  const sasl = (mechanism: SaslMechanism, password = PASSWORD) => ({
    ...{ mechanism, login: LOGIN, passwordFile: file(`password-${password.length}`, `${password}\n`) },
  });

  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const)
    test(`records go in and out over TLS with ${mechanism}, longer than one login lasts`, async () => {
      const trial = await trialWith({ tls: { authorityFile }, sasl: sasl(mechanism) });
      const log = await trial.open();
      const stop = new AbortController();
      const seen: string[] = [];
      const following = (async () => {
        for await (const records of log.follow('mail.in', 0, 0, stop.signal))
          for (const { value } of records) seen.push(Buffer.from(value).toString());
      })();
      const untilMs = performance.now() + 1800;
      let number = 0;
      while (performance.now() < untilMs) await log.append('mail.in', 0, [Buffer.from(String(number++))]);
      while (seen.length < number) await new Promise((resolve) => setTimeout(resolve, 20));
      assert.deepEqual(
        seen,
        Array.from({ length: number }, (_, at) => String(at)),
      );
      stop.abort();
      await following;
      await log.close();
    });

  test('a wrong password, a missing login and a certificate that nobody vouches for are told as such', async () => {
    const unavailable = (message: RegExp) => ({ name: 'LogUnavailable', message });
    await assert.rejects(trialWith({ tls: { authorityFile }, sasl: sasl('plain', 'wrong') }), unavailable(/authentication failed/i));
    await assert.rejects(
      trialWith({ tls: { authorityFile }, sasl: sasl('scram-sha-512', 'wrong') }),
      unavailable(/authentication failed/i),
    );
    await assert.rejects(trialWith({ tls: {}, sasl: sasl('plain') }), unavailable(/self-signed certificate|unable to verify/i));
    await assert.rejects(trialWith({ tls: { authorityFile } }), unavailable(/broker localhost/));
    await assert.rejects(trialWith({ sasl: sasl('plain') }), unavailable(/broker localhost/));
    await assert.rejects(
      trialWith({ tls: { authorityFile: join(folder, 'missing.pem') }, sasl: sasl('plain') }),
      unavailable(/ENOENT.*missing.pem/),
    );
  });
}
