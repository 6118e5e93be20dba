import assert from 'node:assert/strict';
import { test } from 'node:test';
import { finalContent } from './content.ts';

const text = (content: Uint8Array) => Buffer.from(content).toString('latin1');
const crlf = (lines: string) => Buffer.from(lines.replaceAll('\n', '\r\n'), 'latin1');

test('a message without Return-Path is not copied', () => {
  const content = crlf('Subject: a\n\nReturn-Path: <in@body>\n');
  assert.equal(finalContent(content), content);
});

test('Return-Path fields that the message came with are removed, folded ones and any case included', () => {
  const content = crlf(
    'RETURN-path : <a@b>\nReceived: x\nReturn-Path:\n <c@d>\n\t(why)\nSubject: Return-Path: y\n\nReturn-Path: <in@body>\n',
  );
  assert.equal(text(finalContent(content)), text(crlf('Received: x\nSubject: Return-Path: y\n\nReturn-Path: <in@body>\n')));
});

test('fields whose names only begin or end like it stay', () => {
  const content = crlf('X-Return-Path: <a@b>\nReturn-Path-Hint: <c@d>\n\nbody\n');
  assert.equal(finalContent(content), content);
});

test('a message that is all header loses its Return-Path too', () => {
  assert.equal(text(finalContent(crlf('Return-Path: <a@b>\nSubject: x\n'))), 'Subject: x\r\n');
});

test('a last line without its end gets one: POP3 sends whole lines', () => {
  assert.equal(text(finalContent(crlf('Subject: x\n\nlast'))), 'Subject: x\r\n\r\nlast\r\n');
  assert.equal(text(finalContent(crlf('Subject: x\n\nlast\r'))), 'Subject: x\r\n\r\nlast\r\r\n');
});
