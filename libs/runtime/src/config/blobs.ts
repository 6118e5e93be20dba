import { z } from 'zod';
import { atLeastOne, durationMs } from './units.ts';

const isUrl = (text: string): boolean => /^https?:\/\/[^/?#\s@]+\/?$/.test(text) && URL.canParse(text);
/** As the keys behind it: letters, digits, `._-`, in parts that end with `/` and do not begin with a dot. */
const PREFIX = /^(?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)*$/;

const s3Schema = z.strictObject({
  bucket: z.string().default('').describe('Bucket that the contents are kept in; it must be there.'),
  prefix: z
    .string()
    .max(200)
    .regex(PREFIX, 'wants parts of letters, digits and ._-, each with a / behind it')
    .default('')
    .describe('Stands before every key, with a / at its end. Each cluster, and each process on its own, needs another one.'),
  region: z.string().min(1).default('us-east-1').describe('Region of the bucket; servers other than AWS mostly have this one.'),
  endpoint: z
    .string()
    .refine((text) => text === '' || isUrl(text), 'wants a URL such as https://s3.example:9000')
    .default('')
    .describe('URL of the server; empty: AWS.'),
  pathStyle: z
    .boolean()
    .optional()
    .describe('Bucket in the path instead of the host name; left out: with an endpoint, as most servers other than AWS want it.'),
  credentialsFile: z
    .string()
    .default('')
    .describe(
      'File with the lines `aws_access_key_id = …` and `aws_secret_access_key = …`, read again every minute; empty: the environment, AWS files or role of the machine.',
    ),
  authorityFile: z.string().default('').describe('Authority that the server must be signed by, PEM; empty: those of Node.'),
  maxConnections: atLeastOne.default(50).describe('Connections to the server at once; further calls wait.'),
  connectTimeoutMs: durationMs.default(2000).describe('Longest wait for a connection.'),
  silenceTimeoutMs: durationMs.default(5000).describe('Longest time without an octet in either direction; then the next try.'),
  callTimeoutMs: durationMs.default(60_000).describe('Longest call, its repeats included; then mail that needs it is deferred.'),
  checkMs: durationMs.default(60_000).describe('How often the bucket is looked at; what is wrong with it makes the process not ready.'),
  retryMs: z
    .array(durationMs)
    .max(10)
    .default([100, 500, 2000])
    .describe('Pauses before a call that failed for a passing reason is repeated; as many repeats as pauses.'),
});

export const blobsSchema = z.strictObject({
  engine: z
    .enum(['files', 's3'])
    .default('files')
    .describe('Where large contents are kept: in folders (blobFolder, mailbox.blobFolder), or in a bucket of an S3 server.'),
  s3: s3Schema.prefault({}),
});
