// Citations of RFCs against docs/rfc/index.tsv, both ways: what is cited is listed, what is listed is cited.
//
//   node test/checks/rfc-citations.mjs           exit 1 and one line per fault
//   node test/checks/rfc-citations.mjs --list    RFC, section, file:line of every citation
//   node test/checks/rfc-citations.mjs --fix     adds cited sections to RFCs that the index has; nothing is removed
//   ... --root <folder>                          another tree (for the test of this tool)
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const ROOTS = ['libs', 'services', 'proto', 'test', 'docs', 'README.md'];
const READ = /\.(ts|mjs|md|proto|sql)$/;
const SKIPPED = /(^|\/)(node_modules|gen|canary)(\/|$)|^test\/checks\/rfc-citations/;
const STATUSES = ['Yes', 'Partial', 'Planned', 'No'];
/** Blanks, also over a line break with the marks of a comment. */
const GAP = '(?:[ \\t]|\\r?\\n[ \\t]*(?:\\*|//|#|>)?)';
const SECTION = '§(?:[A-Z](?:\\.\\d+)*|\\d+(?:\\.\\d+)*)';
const CITATION = new RegExp(`RFC${GAP}+(\\d{3,5})(?:${GAP}+(${SECTION}(?:,?${GAP}*(?:and${GAP}+)?${SECTION})*))?`, 'g');
/** Forms that a reader understands and this tool does not. */
const MALFORMED = /\bRFC-?\d{3,5}\b|\bRFC[ -]\d{3,5},?\s+(?:[Ss]ection|[Ss]ec\.|[Aa]ppendix)|\bRFC\s\d{3,5}§|\bRFC\s\d{3,5},\s*§/g;

const options = process.argv.slice(2);
const rootAt = options.indexOf('--root');
const root = rootAt < 0 ? join(import.meta.dirname, '../..') : (options[rootAt + 1] ?? '.');
const indexPath = join(root, 'docs/rfc/index.tsv');

function* files(path) {
  const name = relative(root, path);
  if (SKIPPED.test(name) || !existsSync(path)) return;
  if (statSync(path).isDirectory()) for (const entry of readdirSync(path).sort()) yield* files(join(path, entry));
  else if (READ.test(name)) yield name;
}

function lineOf(text, at) {
  let line = 1;
  for (let next = text.indexOf('\n'); next >= 0 && next < at; next = text.indexOf('\n', next + 1)) line++;
  return line;
}

const bySection = (a, b) => a.localeCompare(b, 'en', { numeric: true });

/** `Map<number, Map<section or '', places>>`. */
function readCitations(faults) {
  const cited = new Map();
  for (const name of ROOTS.flatMap((entry) => [...files(join(root, entry))])) {
    const text = readFileSync(join(root, name), 'utf8');
    for (const { index, 0: written } of text.matchAll(MALFORMED)) {
      faults.push(`${name}:${lineOf(text, index)}: "${written.trim()}": write it as "RFC 5321 §4.4"`);
    }
    for (const { index, 1: number, 2: list } of text.matchAll(CITATION)) {
      const sections = list ? list.match(new RegExp(SECTION, 'g')).map((section) => section.slice(1)) : [''];
      const rfc = cited.get(Number(number)) ?? new Map();
      cited.set(Number(number), rfc);
      for (const section of sections) rfc.set(section, [...(rfc.get(section) ?? []), `${name}:${lineOf(text, index)}`]);
    }
  }
  return cited;
}

function readIndex(faults) {
  const [header, ...lines] = readFileSync(indexPath, 'utf8').replace(/\n+$/, '').split('\n');
  const rows = new Map();
  let last = 0;
  for (const [at, line] of lines.entries()) {
    const place = `docs/rfc/index.tsv:${at + 2}`;
    const [number, status, title, sections, note, ...more] = line.split('\t');
    if (note === undefined || more.length > 0) faults.push(`${place}: five columns are wanted: number, status, title, sections, note`);
    else if (!STATUSES.includes(status)) faults.push(`${place}: status "${status}" is none of ${STATUSES.join(', ')}`);
    else if (!(Number(number) > last)) faults.push(`${place}: RFC ${number} is out of order or twice`);
    else rows.set(Number(number), { place, status, title, note, sections: sections === '' ? [] : sections.split(' ') });
    last = Number(number);
  }
  return { header, rows };
}

function unlisted(cited, rows, faults) {
  for (const [number, sections] of cited) {
    const row = rows.get(number);
    for (const [section, places] of sections) {
      if (row && (section === '' || row.sections.includes(section))) continue;
      faults.push(`${places[0]}: RFC ${number}${row ? ` §${section}` : ''} is not in docs/rfc/index.tsv`);
    }
  }
}

function uncited(cited, rows, faults) {
  for (const [number, { place, status, sections }] of rows) {
    const found = cited.get(number);
    const isDone = status === 'Yes' || status === 'Partial';
    for (const section of sections) if (!found?.has(section)) faults.push(`${place}: RFC ${number} §${section} is cited nowhere`);
    if (!isDone && sections.length > 0) faults.push(`${place}: RFC ${number} is "${status}" and has sections: say Partial`);
    if (isDone && !found) faults.push(`${place}: RFC ${number} is "${status}" and cited nowhere`);
  }
}

function fix(header, rows, cited) {
  const lines = [...rows].map(([number, { status, title, note, sections }]) => {
    const all = new Set([...sections, ...[...(cited.get(number)?.keys() ?? [])].filter((section) => section !== '')]);
    return [number, status, title, [...all].sort(bySection).join(' '), note].join('\t');
  });
  writeFileSync(indexPath, `${[header, ...lines].join('\n')}\n`);
}

const faults = [];
let index = readIndex(faults);
const cited = readCitations(faults);
if (options.includes('--list')) {
  for (const [number, sections] of [...cited].sort(([a], [b]) => a - b)) {
    for (const [section, places] of [...sections].sort(([a], [b]) => bySection(a, b))) {
      for (const place of places) console.log(`RFC ${number}${section && ` §${section}`}\t${place}`);
    }
  }
}
if (options.includes('--fix') && faults.every((fault) => !fault.startsWith(relative(root, dirname(indexPath))))) {
  fix(index.header, index.rows, cited);
  index = readIndex([]);
}
unlisted(cited, index.rows, faults);
uncited(cited, index.rows, faults);
for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;
