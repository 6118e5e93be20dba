import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildDsn } from './dsn.ts';
import { scanHeader } from './header.ts';
import { hasEightBit, hasLongLine } from './octets.ts';
import { hostileRequest, readReport } from './testing/reports.ts';

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
