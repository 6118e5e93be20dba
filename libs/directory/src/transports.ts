import type { Directory, DirectoryAdmin, TransportRule } from '@angarium/rpc';
import { canonicalDomain, isDomain, isIpv4, isIpv6 } from '@angarium/smtp';
import { type ChangeContext, checkPut, commit } from './change.ts';
import type { State, Transport } from './state.ts';
import { TransportKind, TransportTls } from './wire.ts';

const KINDS = new Map<number, Transport['kind']>([
  [TransportKind.MAILBOX, 'mailbox'],
  [TransportKind.MX, 'mx'],
  [TransportKind.SMARTHOST, 'smarthost'],
]);
const KIND_NUMBERS = { mailbox: TransportKind.MAILBOX, mx: TransportKind.MX, smarthost: TransportKind.SMARTHOST } as const;
const TLS_NUMBERS = {
  opportunistic: TransportTls.OPPORTUNISTIC,
  required: TransportTls.REQUIRED,
  implicit: TransportTls.IMPLICIT,
  never: TransportTls.NEVER,
} as const;

const isTls = (text: string): text is Transport['tls'] => Object.hasOwn(TLS_NUMBERS, text);
const isHost = (text: string): boolean =>
  isIpv4(text) || isIpv6(text.replace(/^\[(.*)\]$/, '$1')) || (!text.startsWith('[') && isDomain(text, { smtputf8: false }));

/** Whose mail the rule is about: a domain, an address literal, or `*`. */
function parseSubject({ errors }: ChangeContext, text: string): string {
  const name = canonicalDomain(text);
  if (text === '*' || isDomain(name, { smtputf8: true })) return name;
  throw errors.refused('invalid', `"${text}" is not a domain name, and not *`);
}

function parseSmarthost({ errors }: ChangeContext, domain: string, rule: TransportRule): Transport {
  const { host, port, login, password } = rule;
  const tls = rule.tls === '' ? 'opportunistic' : rule.tls;
  const refuse = (text: string) => errors.refused('invalid', text);
  if (!isHost(host)) throw refuse(`"${host}" is not a host name or address`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw refuse(`${port} is not a port (1 to 65535)`);
  if (!isTls(tls)) throw refuse(`"${tls}" is not one of ${Object.keys(TLS_NUMBERS).join(', ')}`);
  if ((login === '') !== (password === '')) throw refuse('a login and a password go together');
  if (login !== '' && tls === 'never') throw refuse('a password is not sent in clear: choose another TLS mode than never');
  return { domain, kind: 'smarthost', host, port, tls, login, password };
}

function parseTransport(context: ChangeContext, rule: TransportRule | undefined): Transport {
  const { state, errors } = context;
  const domain = parseSubject(context, rule?.domain ?? '');
  const kind = KINDS.get(rule?.kind ?? 0);
  if (rule === undefined || kind === undefined) throw errors.refused('invalid', 'the kind is one of mailbox, mx, smarthost');
  if (kind === 'smarthost') return parseSmarthost(context, domain, rule);
  if (rule.host !== '' || rule.port !== 0 || rule.login !== '')
    throw errors.refused('invalid', `only a smarthost has a host, a port and a login`);
  if (kind === 'mailbox' && !state.domains.has(domain))
    throw errors.refused('invalid', `${domain} is not hosted here and has no mailboxes`);
  return { domain, kind, host: '', port: 0, tls: 'opportunistic', login: '', password: '' };
}

export function createTransportAdmin(context: ChangeContext): Pick<DirectoryAdmin, 'listTransports' | 'putTransport' | 'removeTransport'> {
  const { state, errors } = context;
  const { db } = context.database;
  return {
    listTransports: async () => ({
      transports: [...state.transports.values()]
        .map((transport) => ({ ...transport, kind: KIND_NUMBERS[transport.kind], password: '' }))
        .sort((a, b) => (a.domain < b.domain ? -1 : 1)),
    }),
    putTransport: async ({ transport: rule, ...put }) => {
      const transport = parseTransport(context, rule);
      const { domain, ...row } = transport;
      checkPut(context, `the rule for ${domain}`, state.transports.has(domain), put);
      const query = db
        .insertInto('transport')
        .values(transport)
        .onConflict((conflict) => conflict.column('domain').doUpdateSet(row));
      await commit(context, { kind: 'transport', name: domain, steps: [{ query }], apply: () => state.transports.set(domain, transport) });
    },
    removeTransport: async ({ domain: text }) => {
      const domain = parseSubject(context, text);
      if (!state.transports.has(domain)) throw errors.refused('notFound', `there is no rule for ${domain}`);
      const steps = [{ query: db.deleteFrom('transport').where('domain', '=', domain) }];
      await commit(context, { kind: 'transport', name: domain, steps, apply: () => state.transports.delete(domain) });
    },
  };
}

/** A smarthost by the name that expansion gave, with its secrets. */
export function findTransport({ transports }: State, name: string): Awaited<ReturnType<Directory['transport']>> {
  const transport = transports.get(name);
  if (transport?.kind !== 'smarthost') return { found: false, host: '', port: 0, tls: 0, login: '', password: '' };
  const { host, port, tls, login, password } = transport;
  return { found: true, host, port, tls: TLS_NUMBERS[tls], login, password };
}
