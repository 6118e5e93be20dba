import { connectQueue, type Filter, type QueuedRecipient } from '@angarium/rpc';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withControl } from './control.ts';
import { instant, print } from './table.ts';
import { CommandError, type Terminal } from './terminal.ts';

const PAGE = 1000;
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function parseAge(value: string): number {
  const match = /^(\d+)(s|m|h|d)$/.exec(value);
  const ms = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  if (!Number.isSafeInteger(ms)) throw new InvalidArgumentError('a number with s, m, h or d');
  return ms;
}

/** Options that choose recipients; all of them must match. */
function withFilter(command: Command): Command {
  return command
    .option('--domain <domain>', 'recipients of this domain', '')
    .option('--site <site>', 'recipients whose mail goes to this site, as listed', '')
    .option('--tenant <tenant>', 'mail of this account or network', '')
    .addOption(new Option('--state <state>', 'recipients in this state').choices(['ready', 'deferred', 'suspended', 'active', 'notifying']))
    .option('--older-than <age>', 'accepted at least this long ago ("4h")', parseAge, 0);
}

const filterOf = (options: Record<string, string | number | undefined>, queueId = ''): Filter => ({
  queueId,
  domain: String(options.domain ?? ''),
  site: String(options.site ?? ''),
  tenant: String(options.tenant ?? ''),
  state: String(options.state ?? ''),
  olderThanMs: Number(options.olderThan ?? 0),
});

const isEmpty = (filter: Filter): boolean => Object.values(filter).every((value) => value === '' || value === 0);
const HEAD = ['QUEUE ID', 'ACCEPTED', 'FROM', 'TO', 'STATE', 'ATTEMPTS', 'NEXT', 'SITE', 'LAST REPLY'];
const row = (one: QueuedRecipient): readonly string[] => [
  one.queueId,
  instant(one.acceptedAtMs),
  `<${one.reversePath}>`,
  `<${one.address}>`,
  one.state,
  String(one.attempts),
  instant(one.dueAtMs),
  one.site,
  one.lastReply,
];

export function addQueueCommand(program: Command, terminal: Terminal): void {
  const queue = program.command('queue').description('what waits, why, and what to do about it');
  addQuestions(queue, terminal);
  addMessageQuestions(queue, terminal);
  addOrders(queue, terminal);
}

/** What an answer says nothing about. */
const missing = (lanes: readonly number[]): string =>
  lanes.length === 0
    ? ''
    : `lanes ${lanes.join(', ')} are being taken over: what waits in them is missing here; ask again in some seconds\n`;

function addQuestions(queue: Command, terminal: Terminal): void {
  withFilter(queue.command('list').description('list waiting recipients'))
    .option('--limit <number>', 'at most this many', Number, 100)
    .option('--json', 'for programs')
    .action(async (options, command: Command) => {
      const found = await withControl(command, connectQueue, async (client) => {
        const recipients: QueuedRecipient[] = [];
        let pageToken = '';
        let total = 0;
        let recovering: readonly number[] = [];
        do {
          const limit = Math.min(PAGE, options.limit - recipients.length);
          const page = await client.list({ filter: filterOf(options), limit, pageToken });
          recipients.push(...page.recipients);
          pageToken = page.nextPageToken;
          total = page.total;
          recovering = page.recoveringLanes;
        } while (pageToken !== '' && recipients.length < options.limit);
        return { recipients, total, recovering };
      });
      print(command, terminal, { values: found.recipients, head: HEAD, row });
      if (command.opts().json) return;
      terminal.write(`${found.recipients.length} of ${found.total} recipients\n${missing(found.recovering)}`);
    });
  queue
    .command('summary')
    .description('how much waits, and at which sites')
    .option('--json', 'for programs')
    .action(async (_options, command: Command) => {
      const summary = await withControl(command, connectQueue, (client) => client.summary());
      if (command.opts().json) return terminal.write(`${JSON.stringify(summary, null, 2)}\n`);
      const { live, ready, deferred, active, notifying } = summary;
      const counts = `${live} recipients: ${ready} ready, ${deferred} deferred, ${active} active, ${notifying} notifying`;
      terminal.write(`${counts}\n${missing(summary.recoveringLanes)}`);
      print(command, terminal, {
        values: summary.sites,
        head: ['SITE', 'STATE', 'RECIPIENTS', 'CONNECTIONS', 'OPENS', 'LAST REPLY'],
        row: (site) => [site.site, site.state, String(site.recipients), String(site.connections), instant(site.openAtMs), site.lastReply],
      });
    });
}

function addMessageQuestions(queue: Command, terminal: Terminal): void {
  queue
    .command('show <queue-id>')
    .description('everything about one message')
    .option('--json', 'for programs')
    .action(async (queueId: string, _options, command: Command) => {
      const message = await withControl(command, connectQueue, (client) => client.show({ queueId }));
      if (!message.found) throw new CommandError(`${queueId} is not queued\n${missing(message.recoveringLanes)}`.trimEnd());
      print(command, terminal, { values: message.recipients, head: HEAD, row });
    });
  queue
    .command('why <queue-id>')
    .description('at which gate each recipient of a message waits, and until when')
    .option('--json', 'for programs')
    .action(async (queueId: string, _options, command: Command) => {
      const message = await withControl(command, connectQueue, (client) => client.show({ queueId }));
      if (!message.found) throw new CommandError(`${queueId} is not queued\n${missing(message.recoveringLanes)}`.trimEnd());
      print(command, terminal, {
        values: message.recipients,
        head: ['TO', 'GATE', 'UNTIL', 'WHY', 'LAST REPLY'],
        row: (one) => [`<${one.address}>`, one.gate, instant(one.gateUntilMs), one.explanation, one.lastReply],
      });
    });
}

function addOrders(queue: Command, terminal: Terminal): void {
  const order = (name: 'flush' | 'delete', description: string, done: string) =>
    withFilter(queue.command(`${name} [queue-id]`).description(description))
      .option('--all', 'the whole queue')
      .action(async (queueId: string | undefined, options, command: Command) => {
        const filter = filterOf(options, queueId);
        if (isEmpty(filter) && !options.all) throw new CommandError(`say what to ${name}: a queue id, a filter, or --all`);
        const { recipients } = await withControl(command, connectQueue, (client) => client[name]({ filter }));
        terminal.write(`${recipients} recipients ${done}\n`);
      });
  order('flush', 'try now what waits', 'are tried now');
  order('delete', 'drop mail: no delivery, no bounce', 'deleted');
  queue
    .command('suspend <scope>')
    .description('stop sending; scope: domain:<name>, site:<name>, tenant:<name> or all')
    .option('--reason <text>', 'shown to whoever asks why', '')
    .action((scope: string, options, command: Command) =>
      withControl(command, connectQueue, (client) => client.suspend({ scope, reason: options.reason })),
    );
  queue
    .command('resume <scope>')
    .description('send again')
    .action(async (scope: string, _options, command: Command) => {
      const { wasSuspended } = await withControl(command, connectQueue, (client) => client.resume({ scope }));
      if (!wasSuspended) throw new CommandError(`${scope} was not suspended`);
    });
  queue
    .command('suspensions')
    .description('list what is suspended')
    .option('--json', 'for programs')
    .action(async (_options, command: Command) => {
      const { suspensions } = await withControl(command, connectQueue, (client) => client.suspensions());
      print(command, terminal, {
        values: suspensions,
        head: ['SCOPE', 'SINCE', 'REASON'],
        row: (one) => [one.scope, instant(one.sinceMs), one.reason],
      });
    });
}
