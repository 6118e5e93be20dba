import { z } from 'zod';
import { configSchema } from './schema.ts';

/** One key of the configuration, as the reference page and the environment see it. */
export interface ConfigKey {
  readonly path: readonly string[];
  /** `ANGARIUM_INGRESS__MAX_MESSAGE_OCTETS` is `ingress.maxMessageOctets`. */
  readonly environment: string;
  readonly description: string;
  readonly type: string;
  readonly default: unknown;
}

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly description?: string;
}

const environmentName = (path: readonly string[]): string =>
  `ANGARIUM_${path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()).join('__')}`;

function typeOf(schema: Schema, name: string): string {
  if (schema.enum) return schema.enum.join(' | ');
  if (schema.type === 'array') return `list of ${typeOf(schema.items ?? {}, name)}`;
  if (/Ms$/.test(name)) return 'duration';
  if (/Octets$/.test(name)) return 'size';
  return typeof schema.type === 'string' ? schema.type : 'number or text';
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], value);
}

function walk(schema: Schema, path: readonly string[], defaults: unknown): ConfigKey[] {
  if (schema.properties) {
    const { description = '' } = schema;
    return Object.entries(schema.properties).flatMap(([name, inner]) => walk({ description, ...inner }, [...path, name], defaults));
  }
  const name = path.at(-1) ?? '';
  return [
    {
      path,
      environment: environmentName(path),
      description: schema.description ?? '',
      type: typeOf(schema, name),
      default: valueAt(defaults, path),
    },
  ];
}

/** Every key, in the order of the schema. */
export function configKeys(): readonly ConfigKey[] {
  const schema = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as Schema;
  return walk(schema, [], configSchema.parse({}));
}
