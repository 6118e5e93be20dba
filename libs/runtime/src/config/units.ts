import { z } from 'zod';

const MS_BY_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const OCTETS_BY_UNIT: Readonly<Record<string, number>> = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

function quantity(units: Readonly<Record<string, number>>, what: string) {
  const names = Object.keys(units).join(', ');
  return z
    .union([z.number(), z.string()])
    .describe(what)
    .transform((value, context) => {
      const match = typeof value === 'number' ? undefined : /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(value);
      const amount = typeof value === 'number' ? value : Number(match?.[1]) * (units[match?.[2] ?? ''] ?? Number.NaN);
      if (Number.isSafeInteger(amount) && amount >= 0) return amount;
      context.addIssue({ code: 'custom', message: `wants ${what}: a whole number, or a number with one of ${names}` });
      return z.NEVER;
    });
}

/** Milliseconds, as a number or with a unit ("30s", "5m", "4h", "5d"). */
export const durationMs = quantity(MS_BY_UNIT, 'a length of time');
/** Octets, as a number or with a unit ("32KiB", "50MiB"). */
export const octets = quantity(OCTETS_BY_UNIT, 'a size');
export const count = z.int().min(0);
export const atLeastOne = z.int().min(1);
/** "host:port"; an IPv6 host in brackets. Port 0 takes any free port. */
export const address = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^:\s]+):\d{1,5}$/, 'wants host:port');
