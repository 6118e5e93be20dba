import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildDsn } from './dsn.ts';
import type { DsnRequest } from './dsn-request.ts';
import { toSevenBit } from './seven-bit.ts';
import { body, mimeMessage } from './testing/mime-samples.ts';
import { delayed, failed, hostileRequest, message, request, utf8 } from './testing/reports.ts';

/** False where python3 is there; else why the test is skipped. */
const pythonMissing: string | false =
  spawnSync('python3', ['-c', 'import email, json']).status === 0
    ? false
    : 'NOT RUN: python3 is not installed, so no independent reader checks this';

/** Runs a script of python3 with `input` as JSON on its standard input; gives what it prints as JSON. */
function askPython(script: string, input: unknown): unknown {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', script], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`python3: ${stderr}`);
  return JSON.parse(stdout);
}

const LEAVES = `
import base64, email, json, sys
def leaves(octets):
    found = []
    for part in email.message_from_bytes(octets).walk():
        if not part.is_multipart():
            found.append([part.get_content_type(), base64.b64encode(part.get_payload(decode=True)).decode()])
        else:
            found.append([part.get_content_type(), None])
    return found
print(json.dumps([[leaves(base64.b64decode(octets)) for octets in pair] for pair in json.load(sys.stdin)]))
`;

test('python reads the same parts from the converted message', { skip: pythonMissing }, () => {
  const samples = fc.sample(mimeMessage, { numRuns: 1500, seed: 7 });
  const pairs = samples.flatMap((before) => {
    const after = toSevenBit(before);
    return after && after !== before ? [[before, Buffer.from(after)]] : [];
  });
  assert.ok(pairs.length > 500, `only ${pairs.length} were converted`);
  const answers = askPython(
    LEAVES,
    pairs.map((pair) => pair.map((octets) => octets.toString('base64'))),
  ) as [unknown, unknown][];
  for (const [index, [before, after]] of answers.entries()) assert.deepEqual(after, before, pairs[index]?.[0]?.toString('latin1'));
});

const DECODE = `
import base64, json, quopri, sys
print(json.dumps([base64.b64encode(quopri.decodestring(base64.b64decode(text))).decode() for text in json.load(sys.stdin)]))
`;

test('python decodes quoted-printable to the octets that were encoded', { skip: pythonMissing }, () => {
  const head = message('MIME-Version: 1.0\nContent-Type: text/plain\n\né');
  const encodedHead = message('MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n').length;
  const bodies = fc.sample(
    fc.oneof(
      body,
      fc.uint8Array({ maxLength: 500 }).map((octets) => Buffer.from(octets)),
    ),
    { numRuns: 500, seed: 3 },
  );
  const encoded = bodies.map((octets) => Buffer.from(toSevenBit(Buffer.concat([head, octets])) ?? []).subarray(encodedHead));
  for (const text of encoded)
    for (const line of text.toString('latin1').split('\r\n')) assert.ok(line.length <= 76 && !/[ \t]$/.test(line), line);
  const decoded = askPython(
    DECODE,
    encoded.map((text) => text.toString('base64')),
  ) as string[];
  for (const [index, octets] of bodies.entries())
    assert.equal(decoded[index], Buffer.concat([Buffer.from('é'), octets]).toString('base64'));
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
