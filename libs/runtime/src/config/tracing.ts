import { z } from 'zod';

export const tracingSchema = z.strictObject({
  endpoint: z
    .string()
    .refine(
      (text) => text === '' || (/^https?:\/\//.test(text) && URL.canParse(text)),
      'wants a URL such as http://collector:4318/v1/traces',
    )
    .default('')
    .describe('Where spans are sent (OTLP over HTTP, the whole URL); empty: nothing is traced.'),
  share: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Share of accepted messages that are traced, each through all services or not at all.'),
});
