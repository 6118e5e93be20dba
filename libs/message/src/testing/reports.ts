import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import type { DsnRecipient, DsnRequest } from '../dsn-request.ts';
import { scanHeader } from '../header.ts';
import { splitMultipart } from '../multipart.ts';
import { parseContentType } from '../structured.ts';
import { run } from '../transfer-encoding.ts';

export const message = (text: string): Buffer => Buffer.from(text.replace(/\n/g, '\r\n'));

export const failed: DsnRecipient = {
  finalRecipient: 'bob@example.net',
  orcpt: 'rfc822;Bob@alias.example',
  action: 'failed',
  status: '5.1.1',
  reply: { code: 550, enhanced: '5.1.1', text: 'No such user\nGo away' },
  remoteMta: 'mx.example.net',
  lastAttemptMs: 60_000,
};
export const delayed: DsnRecipient = {
  finalRecipient: 'carol@example.com',
  action: 'delayed',
  status: '4.4.1',
  reply: { code: 0, text: 'connection refused' },
  willRetryUntilMs: 86_400_000,
};
export const request: DsnRequest = {
  dsnId: 'DSN1',
  queueId: 'QUEUE1',
  reportingMta: 'mx.example.org',
  to: 'alice@example.org',
  envid: 'QQ 314159',
  arrivalMs: 0,
  nowMs: 3_600_000,
  boundary: 'report1',
  recipients: [failed],
  original: { octets: message('From: alice@example.org\nMessage-ID: <m1@example.org>\nSubject: Hello\n\nbody\n'), ret: 'full' },
  fullMaxOctets: 10_000,
  smtputf8: false,
};

export interface Report {
  readonly header: string;
  readonly parts: readonly { readonly type: string; readonly encoding: string; readonly body: string }[];
}

/** Takes a report apart with this room's own reader. */
export function readReport(content: Uint8Array): Report {
  const scan = scanHeader(content);
  const boundary = parseContentType(scan.value('content-type') ?? '')?.boundary ?? '';
  const sections = run(splitMultipart(content.subarray(scan.octets), boundary)) ?? [];
  const parts = sections
    .filter(({ isPart }) => isPart)
    .map(({ octets }) => {
      const part = scanHeader(octets);
      return {
        type: part.value('content-type') ?? '',
        encoding: part.value('content-transfer-encoding') ?? '',
        body: Buffer.from(octets.subarray(part.octets)).toString().replace(/\r\n/g, '\n'),
      };
    });
  return { header: Buffer.from(content.subarray(0, scan.octets)).toString().replace(/\r\n/g, '\n'), parts };
}

/** About a message with UTF-8 addresses and header. */
export const utf8: Partial<DsnRequest> = {
  smtputf8: true,
  recipients: [{ ...failed, finalRecipient: 'jörg@bücher.example', orcpt: 'utf-8;jö+rg@bücher.example' }],
  original: { octets: message('Subject: Grüße\n\nx\n'), ret: 'full' },
};

const hostile = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 1500 }),
  fc
    .array(fc.constantFrom('\r\n', '\n', '\r', '\0', '--report1', '--report1--', ': ', ' ', 'ü', '\r\n\r\n', 'x'.repeat(1100)), {
      maxLength: 12,
    })
    .map((pieces) => pieces.join('')),
);
const hostileRecipient: fc.Arbitrary<DsnRecipient> = fc.record({
  finalRecipient: hostile,
  orcpt: hostile,
  action: fc.constantFrom('failed', 'delayed', 'delivered', 'relayed', 'expanded'),
  status: hostile,
  reply: fc.record({ code: fc.constantFrom(0, 450, 550), enhanced: fc.constantFrom('', '5.1.1'), text: hostile }),
  remoteMta: hostile,
});
/** A report in which everything that strangers write is hostile. */
export const hostileRequest: fc.Arbitrary<DsnRequest> = fc
  .record({
    to: hostile,
    envid: hostile,
    postmaster: hostile,
    queueId: hostile,
    recipients: fc.array(hostileRecipient, { minLength: 1, maxLength: 4 }),
    octets: fc.oneof(
      hostile.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 500 }),
      hostile.map((text) => Buffer.from(`Subject: ${text}\r\n\r\n${text}`)),
    ),
    ret: fc.constantFrom('full', 'hdrs', ''),
    smtputf8: fc.boolean(),
  })
  .map(({ octets, ret, ...rest }) => ({ ...request, ...rest, original: { octets, ret } }));
