// Puts together the file system of the image: `node deploy/image/stage.mjs <folder>` makes <folder>/root, and beside it the
// Dockerfile. Any builder makes the image from that folder, and needs no network for it.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

const source = new URL('../..', import.meta.url).pathname;
/** Of the project: what runs. Its tests and what they stand on stay behind. */
const FOLDERS = ['libs', 'services', 'proto'];
const LEFT_OUT = /(\.test\.ts|\/contract\.ts|\/testing|\/fixtures|\/node_modules)$/;
/** Of packages: what is read by people, compilers and debuggers only. */
const UNREAD = /(\.d\.[cm]?ts|\.map|\.md|\.markdown|\.flow|\.tsbuildinfo)$/;
const USER = 65_532;

function stageApp(app) {
  mkdirSync(app, { recursive: true });
  for (const folder of FOLDERS)
    cpSync(join(source, folder), join(app, folder), { recursive: true, filter: (path) => !LEFT_OUT.test(path) });
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) copyFileSync(join(source, file), join(app, file));
  // The lock names all workspaces, also those that stay behind.
  for (const workspace of ['deploy', 'test']) {
    mkdirSync(join(app, workspace));
    copyFileSync(join(source, workspace, 'package.json'), join(app, workspace, 'package.json'));
  }
  const npm = ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', npm, { cwd: app, stdio: ['ignore', 'inherit', 'inherit'] });
  for (const workspace of ['deploy', 'test']) {
    rmSync(join(app, workspace), { recursive: true });
    rmSync(join(app, 'node_modules/@angarium', workspace), { force: true });
  }
  prune(join(app, 'node_modules'));
}

/** Takes out what no process reads, and the native parts of other platforms. */
function prune(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && UNREAD.test(entry.name)) rmSync(path);
  }
  const sqlite = join(folder, 'better-sqlite3');
  for (const part of ['deps', 'src', 'build']) rmSync(join(sqlite, part), { recursive: true, force: true });
  const own = `${process.platform}-${process.arch}.node`;
  for (const file of readdirSync(join(sqlite, 'prebuilds'))) if (file !== own) rmSync(join(sqlite, 'prebuilds', file));
}

/** The shared libraries that the loader would give a program or a native part, at the paths where it looks for them. */
function stageLibraries(root, file) {
  const linked = execFileSync('ldd', [file], { encoding: 'utf8' });
  for (const [, path] of linked.matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    copyFileSync(realpathSync(path), join(root, path));
    chmodSync(join(root, path), 0o755);
  }
}

function stageNode(root) {
  const target = join(root, 'usr/bin/node');
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(process.execPath, target);
  chmodSync(target, 0o755);
  stageLibraries(root, target);
  for (const entry of readdirSync(join(root, 'app/node_modules'), { withFileTypes: true, recursive: true }))
    if (entry.isFile() && entry.name.endsWith('.node')) stageLibraries(root, join(entry.parentPath, entry.name));
}

/** The command, for `kubectl exec`: no env is there that the first line of `main.ts` could ask. Its variable is in the Dockerfile. */
function stageCommand(root) {
  const command = join(root, 'usr/bin/angarium');
  const main = 'services/angarium/src/main.ts';
  const flags = /^#!.* node (.+)$/m.exec(readFileSync(join(source, main), 'utf8'))?.[1];
  if (flags === undefined) throw new Error(`the first line of ${main} does not start Node with flags`);
  writeFileSync(command, `#!/usr/bin/node ${flags}\nimport '/app/${main}';\n`);
  chmodSync(command, 0o755);
}

function stageAccounts(root) {
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(root, 'etc/passwd'), `angarium:x:${USER}:${USER}:Angarium:/data:/none\n`);
  writeFileSync(join(root, 'etc/group'), `angarium:x:${USER}:\n`);
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
  for (const folder of ['tmp', 'data']) mkdirSync(join(root, folder));
  chmodSync(join(root, 'tmp'), 0o1777);
}

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: node deploy/image/stage.mjs <folder>');
if (existsSync(folder)) throw new Error(`${folder} is there already`);
const root = join(folder, 'root');
stageApp(join(root, 'app'));
stageNode(root);
stageCommand(root);
stageAccounts(root);
copyFileSync(new URL('Dockerfile', import.meta.url), join(folder, 'Dockerfile'));
const { version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'));
console.log(`${basename(folder)}: Angarium ${version} on Node ${process.versions.node}`);
