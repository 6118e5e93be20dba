import { z } from 'zod';
import { atLeastOne, durationMs } from './units.ts';

const MOST_LIMITS = 500;

const host = z
  .string()
  .regex(/^[0-9A-Za-z_.:-]+$/, 'wants the name of a host or a domain above it, or an address')
  .transform((name) => name.toLowerCase().replace(/^\.+|\.+$/g, ''));

const limit = z
  .strictObject({
    name: z.string().regex(/^[0-9a-z-]{1,40}$/, 'wants up to 40 small letters, digits and hyphens'),
    hosts: z.array(host).min(1),
    connections: atLeastOne.optional(),
    messages: atLeastOne.optional(),
    perMs: durationMs.default(1000).refine((ms) => ms > 0, 'wants more than 0'),
  })
  .refine(({ connections, messages }) => connections !== undefined || messages !== undefined, 'wants connections, messages or both');

export const limitsSchema = z
  .array(limit)
  .max(MOST_LIMITS)
  .refine((limits) => new Set(limits.map(({ name }) => name)).size === limits.length, 'two limits have one name')
  .default([])
  .describe(
    'What receivers allow all workers together: a name, the hosts (MX hosts and smarthosts by name, by a domain above it, or by address), connections open at once, and messages that begin within any perMs (default 1s). The same for all workers; `angarium limits set` gives a limit other values while they run. Hosts that no limit names have none.',
  );
