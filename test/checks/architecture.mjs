// Runs the rules of .dependency-cruiser.mjs on the tree, and each rule on a canary: a file that breaks it.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { cruise } from 'dependency-cruiser';
import config from '../../.dependency-cruiser.mjs';

const root = new URL('../..', import.meta.url).pathname;

async function violations(folder, places) {
  const { output } = await cruise(places, { ...config.options, validate: true, ruleSet: { forbidden: config.forbidden }, baseDir: folder });
  return output.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
}

/** A file that breaks the rule, by rule name; `with` are further files it needs. */
function canaryOf(rule) {
  const room = /^(\w+)-imports$/.exec(rule.name)?.[1];
  if (room)
    return { [`libs/${room}/src/index.ts`]: "import '../../../services/ingress/src/index.ts';", 'services/ingress/src/index.ts': '' };
  if (rule.name.endsWith('-at-home')) {
    const name = /node_modules\/(.+)\/$/.exec(rule.to.path)[1];
    return {
      'services/routing/src/index.ts': `import '${name}';`,
      [`node_modules/${name}/package.json`]: `{"name":"${name}","main":"i.js"}`,
      [`node_modules/${name}/i.js`]: '',
    };
  }
  return {
    'services-meet-on-the-log': {
      'services/ingress/src/index.ts': "import '../../routing/src/index.ts';",
      'services/routing/src/index.ts': '',
    },
    'pure-rooms': { 'libs/smtp/src/index.ts': "import 'node:fs';" },
    'one-door': { 'services/routing/src/index.ts': "import '../../../libs/smtp/src/deep.ts';", 'libs/smtp/src/deep.ts': '' },
    'tests-use-doors-too': { 'test/e2e/a.ts': "import '../../libs/smtp/src/deep.ts';", 'libs/smtp/src/deep.ts': '' },
    'code-not-to-tests': { 'libs/smtp/src/index.ts': "import './a.test.ts';", 'libs/smtp/src/a.test.ts': '' },
    'no-cycles': { 'libs/smtp/src/index.ts': "import './a.ts';", 'libs/smtp/src/a.ts': "import './index.ts';" },
    'not-to-unresolvable': { 'libs/smtp/src/index.ts': "import './nowhere.ts';" },
  }[rule.name];
}

async function canaryIsCaught(rule) {
  const files = canaryOf(rule);
  if (files === undefined) return false;
  const folder = await mkdtemp(join(tmpdir(), 'canary-'));
  try {
    for (const [path, text] of Object.entries({
      ...files,
      'tsconfig.base.json': '{"compilerOptions":{"module":"nodenext"}}',
      'package.json': '{"type":"module"}',
    })) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    process.chdir(folder);
    const places = [...new Set(Object.keys(files).map((path) => path.split('/')[0]))].filter((place) => place !== 'node_modules');
    return (await violations(folder, places)).some((violation) => violation.rule === rule.name);
  } finally {
    process.chdir(root);
    await rm(folder, { recursive: true });
  }
}

process.chdir(root);
const found = await violations(root, ['libs', 'services', 'test']);
for (const { rule, from, to } of found)
  console.error(`${from} -> ${to}: ${rule}: ${config.forbidden.find(({ name }) => name === rule)?.comment}`);
const silent = [];
for (const rule of config.forbidden) if (!(await canaryIsCaught(rule))) silent.push(rule.name);
for (const name of silent) console.error(`rule ${name} did not catch its canary`);
console.log(`architecture: ${config.forbidden.length} rules, ${found.length} violations, ${silent.length} silent rules`);
process.exitCode = found.length + silent.length === 0 ? 0 : 1;
