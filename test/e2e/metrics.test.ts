import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { type Angarium, makeFolder, type Role, startAngarium } from './angarium.ts';

const ROOT = new URL('../../', import.meta.url);
/** That together export every metric. */
const PROCESSES: readonly Role[] = ['up', 'scaler'];

interface Described {
  readonly kind: string;
  readonly help: string;
  readonly labels: ReadonlySet<string>;
}
type Metrics = ReadonlyMap<string, Described>;

const { folder, remove } = await makeFolder();
const running: Angarium[] = [];
before(async () => {
  for (const role of PROCESSES) running.push(await startAngarium(folder, {}, role));
});
after(async () => {
  await Promise.all(running.map((one) => one.stop()));
  await remove();
});

async function readPage(): Promise<Metrics> {
  const page = await readFile(new URL('docs/reference/metrics.md', ROOT), 'utf8');
  const rows = page.matchAll(/^\| `(?<name>\w+)` \| (?<kind>\w+) \| (?<labels>.*?) \| (?<help>.*) \|$/gm);
  return new Map(
    [...rows].map(({ groups: { name = '', kind = '', labels = '', help = '' } = {} }) => [
      name,
      { kind, help, labels: new Set([...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label)) },
    ]),
  );
}

/** What a process exports; of the labels, those that its series have at this moment. */
async function scrape({ addresses }: Angarium): Promise<Metrics> {
  const text = await (await fetch(`http://${addresses.metrics}/metrics`)).text();
  const helps = new Map([...text.matchAll(/^# HELP (\w+) (.*)$/gm)].map(([, name = '', help = '']) => [name, help]));
  const found = new Map<string, Described & { readonly labels: Set<string> }>();
  for (const [, name = '', kind = ''] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm))
    found.set(name, { kind, help: helps.get(name) ?? '', labels: new Set() });
  for (const [, series = '', inner = ''] of text.matchAll(/^(\w+)\{(.*)\} /gm)) {
    const labels = (found.get(series) ?? found.get(series.replace(/_(bucket|sum|count)$/, '')))?.labels;
    for (const [, label = ''] of inner.matchAll(/(\w+)="/g)) if (label !== 'le') labels?.add(label);
  }
  return found;
}

/** Metrics, with kind and help, that the one has and the other has not. */
const without = (one: Metrics, other: Metrics): readonly string[] =>
  [...one]
    .filter(([name, { kind, help }]) => other.get(name)?.kind !== kind || other.get(name)?.help !== help)
    .map(([name, { kind, help }]) => `${name} ${kind} ${help}`);

test('what processes export is on the reference page, with kind, help and labels, and nothing else is there', async () => {
  const exported: Metrics = new Map((await Promise.all(running.map(scrape))).flatMap((one) => [...one]));
  const page = await readPage();
  assert.deepEqual(without(exported, page), [], 'not on the page');
  assert.deepEqual(without(page, exported), [], 'on the page, and not exported');
  for (const [name, { labels }] of exported)
    assert.deepEqual(
      [...labels].filter((label) => !page.get(name)?.labels.has(label)),
      [],
      name,
    );
});

test('every metric that is named in the code is on the reference page', async () => {
  const page = await readPage();
  const unknown: string[] = [];
  for await (const file of glob('{libs,services}/*/src/**/*.ts', { cwd: ROOT.pathname })) {
    if (file.endsWith('.test.ts') || /\/(fixtures|testing)\//.test(file)) continue;
    const code = await readFile(new URL(file, ROOT), 'utf8');
    for (const [, name = ''] of code.matchAll(/name: ['"`](angarium_\w+)['"`]/g)) if (!page.has(name)) unknown.push(`${file}: ${name}`);
  }
  assert.deepEqual(unknown, []);
});
