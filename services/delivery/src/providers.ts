import type { Config } from '@angarium/runtime';
import { createLimitFinder } from './quota/limits.ts';

export const PROVIDER_RESULTS = ['delivered', 'deferred', 'bounced', 'doubt'] as const;

/**
 * Names under which attempts are counted, by the domains that the MX hosts of those who receive mail for many others are in. A
 * table that is long enough for what most mail goes to, and short enough for a label.
 */
const PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  amazon: ['amazonaws.com', 'awsapps.com'],
  apple: ['icloud.com', 'apple.com'],
  barracuda: ['barracudanetworks.com'],
  cisco: ['iphmx.com'],
  cloudflare: ['mx.cloudflare.net'],
  comcast: ['comcast.net'],
  fastmail: ['messagingengine.com'],
  gmx: ['gmx.net', 'gmx.com', 'web.de', 'mail.com'],
  google: ['google.com', 'googlemail.com', 'smtp.goog'],
  hornetsecurity: ['hornetsecurity.com', 'antispameurope.com'],
  ionos: ['kundenserver.de', 'ionos.com', 'ionos.de', '1and1.com'],
  mailru: ['mail.ru'],
  microsoft: ['outlook.com', 'mx.microsoft', 'hotmail.com'],
  mimecast: ['mimecast.com', 'mimecast.co.za'],
  orange: ['orange.fr', 'wanadoo.fr'],
  ovh: ['ovh.net', 'ovh.ca'],
  proofpoint: ['pphosted.com', 'ppe-hosted.com'],
  proton: ['protonmail.ch'],
  rackspace: ['emailsrvr.com'],
  telekom: ['t-online.de'],
  tencent: ['qq.com'],
  yahoo: ['yahoodns.net'],
  yandex: ['yandex.net', 'yandex.ru'],
  zoho: ['zoho.com', 'zoho.eu', 'zoho.in'],
};
const OTHER = 'other';

type Rules = Config['delivery']['limits'];

/** All names that `createProviderFinder` gives: those of the table, of the limits that are configured, and "other". */
export const providerNames = (rules: Rules): readonly string[] => [
  ...new Set([...Object.keys(PROVIDERS), ...rules.map(({ name }) => name), OTHER]),
];

/** The provider of a site by its hosts. A limit that they fall under has named it already. */
export function createProviderFinder(): (hosts: readonly string[], limits: readonly string[]) => string {
  const find = createLimitFinder(Object.entries(PROVIDERS).map(([name, hosts]) => ({ name, hosts: [...hosts] })));
  return (hosts, limits) => limits[0] ?? find(hosts)[0] ?? OTHER;
}
