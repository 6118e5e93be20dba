import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { hashText } from '../hash.ts';
import { createNames } from './names.ts';
import { createOctetReader, createOctetWriter } from './octets.ts';
import { createOrder } from './order.ts';
import { createPages, MAX_ROW_OCTETS } from './pages.ts';
import { createShared } from './shared.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('rows are read as they were last put, whatever comes and goes around them', () => {
  const operation = fc.record({ name: fc.nat(60), octets: fc.oneof(fc.nat(40), fc.nat(MAX_ROW_OCTETS)), fill: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(operation, { minLength: 50, maxLength: 400, size: 'max' }), (operations) => {
      const pages = createPages();
      const model = new Map<number, Buffer>();
      for (const { name, octets, fill } of operations) {
        if (fill % 3 === 0) {
          pages.delete(name);
          model.delete(name);
        } else {
          const row = Buffer.alloc(octets, fill);
          pages.put(name, row);
          model.set(name, row);
        }
        assert.equal(pages.has(name), model.has(name));
      }
      for (const [name, row] of model) {
        const { page, start } = pages.find(name);
        assert.ok(page.subarray(start, start + row.length).equals(row), `row ${name}`);
      }
    }),
    { numRuns: 200 },
  );
});

test('rows that were given up take no room: at most a third more than what is left, and a page', () => {
  const held = () => {
    // Buffers go with the second one.
    collect();
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const before = held();
  const pages = createPages();
  for (let round = 0; round < 20; round++)
    for (let name = 0; name < 5000; name++) pages.put((name * 7919) % 5000, Buffer.alloc(200, round));
  const octets = held() - before;
  assert.ok(octets < 5000 * 206 * 1.34 + 200_000, `${octets} octets`);
  assert.equal(pages.find(4999).page[pages.find(4999).start], 19);
});

test('a text has the number that it was given until it is deleted, also where hashes collide', () => {
  const operation = fc.record({ text: fc.nat(80).map(String), isDelete: fc.boolean() });
  const hashes = [hashText, () => 5, (text: string) => text.length];
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), fc.constantFrom(...hashes), (operations, hash) => {
      const texts: string[] = [];
      const names = createNames(hash, (number) => texts[number] ?? '');
      const model = new Map<string, number>();
      let most = 0;
      for (const { text, isDelete } of operations) {
        const known = model.get(text);
        assert.equal(names.find(text), known ?? -1);
        if (known === undefined) {
          const number = names.add(text);
          assert.ok(![...model.values()].includes(number), 'not in use');
          texts[number] = text;
          model.set(text, number);
          most = Math.max(most, model.size);
          assert.ok(number < most, 'as small as it can be');
        } else if (isDelete) {
          names.delete(known);
          model.delete(text);
        }
        assert.equal(names.size, model.size);
      }
      for (const [text, number] of model) assert.equal(names.find(text), number);
    }),
    { numRuns: 300 },
  );
});

test('an order goes from the least key to the largest, equal ones as they came', () => {
  const operation = fc.record({ member: fc.nat(100), key: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200, size: 'max' }), (operations) => {
      const order = createOrder();
      const model: { member: number; key: number }[] = [];
      for (const one of operations) {
        const at = model.findIndex(({ member }) => member === one.member);
        if (at >= 0) {
          order.delete(one.member);
          model.splice(at, 1);
        } else {
          order.add(one.member, one.key);
          model.push(one);
        }
        const listed: number[] = [];
        for (let member = order.first; member >= 0; member = order.after(member)) listed.push(member);
        const sorted = model.toSorted((a, b) => a.key - b.key).map(({ member }) => member);
        assert.deepEqual(listed, sorted);
      }
    }),
    { numRuns: 300 },
  );
});

test('numbers up to 2^53 - 1 and texts are read as they were written', () => {
  const value = fc.oneof(fc.maxSafeNat(), fc.integer(), fc.integer({ min: -(2 ** 51), max: 2 ** 51 }), fc.string({ unit: 'grapheme' }));
  const writer = createOctetWriter(2000);
  const reader = createOctetReader();
  fc.assert(
    fc.property(fc.array(value, { maxLength: 20 }), (values) => {
      writer.start();
      for (const one of values) {
        if (typeof one === 'string') writer.text(one);
        else if (one < 0) writer.signed(one);
        else writer.number(one);
      }
      const row = writer.end();
      assert.ok(row);
      reader.open(row, 0);
      for (const one of values) {
        assert.equal(typeof one === 'string' ? reader.text() : one < 0 ? reader.signed() : reader.number(), one);
      }
    }),
  );
});

test('what does not fit into the scratch gives no row, and the next one does', () => {
  const writer = createOctetWriter(20);
  for (const write of [() => writer.text('x'.repeat(21)), () => Array.from({ length: 21 }, () => writer.number(1))]) {
    writer.start();
    write();
    assert.equal(writer.end(), undefined);
    writer.start();
    writer.text('fits');
    assert.equal(writer.end()?.length, 5);
  }
});

test('a shared value is kept as long as somebody holds it', () => {
  const shared = createShared();
  const value = { name: 'example' };
  const number = shared.hold(value);
  assert.equal(shared.hold(value), number);
  shared.release(number);
  assert.equal(shared.value(number), value);
  shared.release(number);
  assert.equal(shared.size, 0);
  assert.throws(() => shared.value(number), RangeError);
});
