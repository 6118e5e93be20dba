import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildDsn } from './dsn.ts';
import type { DsnRecipient, DsnRequest } from './dsn-request.ts';
import { scanHeader } from './header.ts';
import { hasEightBit, hasLongLine } from './octets.ts';
import { askPython, pythonMissing } from './testing/python-witness.ts';
import { delayed, failed, readReport, request, utf8 } from './testing/reports.ts';

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
const hostileRequest: fc.Arbitrary<DsnRequest> = fc
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

test('whatever strangers write: three parts, their own fields, lines of at most 998 octets', () => {
  fc.assert(
    fc.property(hostileRequest, (o) => {
      const { content, eightBit, smtputf8 } = buildDsn(o);
      assert.equal(hasLongLine(content), false);
      assert.equal(hasEightBit(content), eightBit);
      const scan = scanHeader(content);
      assert.equal(scan.hasEightBit, smtputf8);
      assert.equal(scan.defects, 0);
      assert.deepEqual(
        ['from', 'to', 'subject', 'content-type'].map((name) => scan.fields(name).length),
        [1, 1, 1, 1],
      );
      const { parts } = readReport(content);
      assert.equal(parts.length, 3);
      const groups = (parts[1]?.body ?? '').split('\n\n');
      assert.equal(groups.length, o.recipients.length + 1);
      for (const group of groups.slice(1)) {
        const fields = scanHeader(Buffer.from(`${group.replace(/\n$/, '').replace(/\n/g, '\r\n')}\r\n\r\n`));
        assert.equal(fields.defects, 0);
        assert.deepEqual(
          [fields.fields('action').length, fields.fields('final-recipient').length, fields.fields('status').length],
          [1, 1, 1],
        );
      }
    }),
    { numRuns: 800 },
  );
});

const READ = `
import base64, email, email.policy, json, sys
def read(octets):
    m = email.message_from_bytes(octets, policy=email.policy.default)
    parts = list(m.iter_parts())
    status = [[str(v) for v in block.get_all('Action', [])] for block in parts[1].get_payload()] if parts[1].get_content_type() == 'message/delivery-status' else None
    return {'type': m.get_content_type(), 'report': m.get_param('report-type'), 'to': str(m['to']),
        'types': [p.get_content_type() for p in parts], 'text': parts[0].get_content(), 'actions': status,
        'defects': [repr(d) for p in m.walk() for d in p.defects]}
print(json.dumps([read(base64.b64decode(octets)) for octets in json.load(sys.stdin)]))
`;

interface PythonRead {
  readonly type: string;
  readonly report: string;
  readonly to: string;
  readonly types: readonly string[];
  readonly text: string;
  readonly actions: readonly (readonly string[])[] | null;
  readonly defects: readonly string[];
}

function pythonRead(requests: readonly DsnRequest[]): readonly PythonRead[] {
  return askPython(
    READ,
    requests.map((o) => Buffer.from(buildDsn(o).content).toString('base64')),
  ) as PythonRead[];
}

test('python reads the same report', { skip: pythonMissing }, () => {
  const requests = [
    request,
    { ...request, recipients: [failed, delayed] },
    { ...request, ...utf8 },
    { ...request, original: { ...request.original, ret: 'hdrs' as const } },
  ];
  const [plain, mixed, global, headers] = pythonRead(requests);
  assert.deepEqual(
    { ...plain, text: '' },
    {
      type: 'multipart/report',
      report: 'delivery-status',
      to: 'alice@example.org',
      types: ['text/plain', 'message/delivery-status', 'message/rfc822'],
      text: '',
      actions: [[], ['failed']],
      defects: [],
    },
  );
  assert.match(plain?.text ?? '', /could not be delivered/);
  assert.deepEqual(mixed?.actions, [[], ['failed'], ['delayed']]);
  assert.deepEqual(global?.types, ['text/plain', 'message/global-delivery-status', 'message/global']);
  assert.match(global?.text ?? '', /jörg@bücher\.example[\s\S]*Grüße/);
  assert.deepEqual(headers?.types, ['text/plain', 'message/delivery-status', 'text/rfc822-headers']);
});

test('python finds three parts whatever strangers write', { skip: pythonMissing }, () => {
  const requests = fc.sample(hostileRequest, { numRuns: 400, seed: 5 });
  for (const [index, { types, actions }] of pythonRead(requests).entries()) {
    assert.equal(types.length, 3);
    if (actions) assert.deepEqual(actions, [[], ...(requests[index]?.recipients ?? []).map(({ action }) => [action])]);
  }
});
