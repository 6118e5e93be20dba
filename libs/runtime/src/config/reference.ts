import { configKeys } from './keys.ts';

const TIME: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];
const SIZE: readonly (readonly [string, number])[] = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
  ['B', 1],
];

function withUnit(value: number, units: readonly (readonly [string, number])[]): string {
  const unit = units.find(([, size]) => value >= size && value % size === 0);
  return unit ? `${value / unit[1]}${unit[0]}` : String(value);
}

function format(value: unknown, key: string): string {
  if (value === undefined) return '';
  if (Array.isArray(value)) return `[${value.map((item) => format(item, key)).join(', ')}]`;
  if (typeof value === 'number' && key.endsWith('Ms')) return withUnit(value, TIME);
  if (typeof value === 'number' && key.endsWith('Octets')) return withUnit(value, SIZE);
  return typeof value === 'string' ? `"${value}"` : String(value);
}

/** docs/reference/configuration.md: every key with its meaning, type, default and environment variable. */
export function configReference(): string {
  const rows = configKeys().map((key) => {
    const name = key.path.join('.');
    const shown = format(key.default, key.path.at(-1) ?? '');
    return `| \`${name}\` | ${key.description} | ${key.type.replaceAll('|', '\\|')} | ${shown === '' ? '' : `\`${shown}\``} | \`${key.environment}\` |`;
  });
  return [
    '# Configuration',
    '',
    'Generated from the schema by `npm run generate`; a check fails when it is stale. One YAML file (`--config`, or the variable',
    '`ANGARIUM_CONFIG`), and the environment, which wins. An unknown key is an error. Durations take a number of milliseconds or a unit',
    '(`30s`, `5m`, `4h`, `5d`), sizes a number of octets or a unit (`32KiB`, `50MiB`).',
    '',
    '| Key | Meaning | Type | Default | Environment |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
