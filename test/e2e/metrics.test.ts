import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { type Angarium, makeFolder, startAngarium } from './angarium.ts';

const ROOT = new URL('../../', import.meta.url);

interface Described {
  readonly kind: string;
  readonly help: string;
}

const { folder, remove } = await makeFolder();
let angarium: Angarium;
before(async () => {
  // Limits have metrics of their own.
  angarium = await startAngarium(folder, { delivery: { limits: [{ name: 'big', hosts: ['big.test'], connections: 4 }] } });
});
after(async () => {
  await angarium?.stop();
  await remove();
});

async function readPage(): Promise<Map<string, Described & { readonly labels: readonly string[] }>> {
  const page = await readFile(new URL('docs/reference/metrics.md', ROOT), 'utf8');
  const rows = page.matchAll(/^\| `(?<name>\w+)` \| (?<kind>\w+) \| (?<labels>.*?) \| (?<help>.*) \|$/gm);
  return new Map(
    [...rows].map(({ groups: { name = '', kind = '', labels = '', help = '' } = {} }) => [
      name,
      { kind, help, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label) },
    ]),
  );
}

interface Scrape {
  readonly families: ReadonlyMap<string, Described>;
  /** Label names that series have, by family. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
}

async function scrape(): Promise<Scrape> {
  const text = await (await fetch(`http://${angarium.addresses.metrics}/metrics`)).text();
  const helps = new Map([...text.matchAll(/^# HELP (\w+) (.*)$/gm)].map(([, name = '', help = '']) => [name, help]));
  const kinds = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', kind = '']) => [name, kind]));
  const labels = new Map<string, Set<string>>();
  for (const [, series = '', inner = ''] of text.matchAll(/^(\w+)\{(.*)\} /gm)) {
    const name = kinds.has(series) ? series : series.replace(/_(bucket|sum|count)$/, '');
    const known = labels.get(name) ?? new Set();
    labels.set(name, known);
    for (const [, label = ''] of inner.matchAll(/(\w+)="/g)) if (label !== 'le') known.add(label);
  }
  return { families: new Map([...kinds].map(([name, kind]) => [name, { kind, help: helps.get(name) ?? '' }])), labels };
}

test('what a process exports is on the reference page, with kind, help and labels, and nothing else is there', async () => {
  const { families, labels } = await scrape();
  const page = await readPage();
  const told = new Map([...page].map(([name, { kind, help }]) => [name, { kind, help }] as const));
  const sorted = (map: ReadonlyMap<string, Described>) => Object.fromEntries([...map].sort(([one], [other]) => (one < other ? -1 : 1)));
  assert.deepEqual(sorted(families), sorted(told));
  for (const [name, seen] of labels)
    assert.deepEqual(
      [...seen].filter((label) => !page.get(name)?.labels.includes(label)),
      [],
      name,
    );
});

test('every metric that is named in the code is on the reference page: those of processes that are not started here too', async () => {
  const page = await readPage();
  const unknown: string[] = [];
  for await (const file of glob('{libs,services}/*/src/**/*.ts', { cwd: ROOT.pathname })) {
    if (file.endsWith('.test.ts') || /\/(fixtures|testing)\//.test(file)) continue;
    const code = await readFile(new URL(file, ROOT), 'utf8');
    for (const [, name = ''] of code.matchAll(/name: ['"`](angarium_\w+)['"`]/g)) if (!page.has(name)) unknown.push(`${file}: ${name}`);
  }
  assert.deepEqual(unknown, []);
});
