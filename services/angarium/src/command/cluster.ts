import type { Command } from 'commander';
import { driftOf, type PodReport } from '../cluster/status.ts';
import { print } from './table.ts';
import { CommandError, type Terminal } from './terminal.ts';

const HEAD = ['POD', 'SERVICE', 'READY', 'RESTARTS', 'SINCE', 'LANES', 'CONFIG', 'IMAGE', 'NODE'];
const IMAGE_SHOWN = 24;

const row = ({ pod, service, isReady, restarts, startedAtMs, lanes, config, image, node }: PodReport): readonly string[] => [
  ...[pod, service, isReady ? 'yes' : 'NO', String(restarts)],
  new Date(startedAtMs).toISOString().slice(0, 19),
  lanes === undefined ? '-' : String(lanes),
  config,
  image.slice(-IMAGE_SHOWN),
  node,
];

export function addClusterCommand(program: Command, terminal: Terminal): void {
  program
    .command('cluster')
    .description('the cluster on Kubernetes')
    .command('status')
    .description('pods of a release: which are ready, what they run, who owns lanes, and whether they differ; 1 when something does')
    .argument('[release]', 'name that Helm installed it by', 'angarium')
    .option('-n, --namespace <namespace>', 'namespace; without it that of the current context')
    .option('--json', 'for programs')
    .action(async (release: string, { namespace }: { readonly namespace?: string }, command: Command) => {
      const { readPods } = await import('../cluster/kubernetes.ts');
      const values = await readPods(release, namespace);
      if (values.length === 0) throw new CommandError(`no pods of a release ${release}: helm list -A shows releases and their namespaces`);
      print(command, terminal, { values, head: HEAD, row });
      const drift = driftOf(values);
      if (drift.length > 0) throw new CommandError(drift.join('\n'));
      if (!command.opts().json) terminal.write('all pods are ready and alike\n');
    });
}
