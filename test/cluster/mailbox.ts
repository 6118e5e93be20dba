import { openSession } from '../e2e/session.ts';
import { countIds } from './sink.ts';

const AT_ONCE = 200;

/** Every message of an account, as POP3 gives it, by the id of the load that it, or what it gives back, was sent with. */
export async function readMailbox(o: {
  readonly address: string;
  readonly login: string;
  readonly password: string;
}): Promise<ReadonlyMap<string, number>> {
  const session = openSession(o.address, 'tls');
  const contents: string[] = [];
  const ask = async (line: string): Promise<string> => {
    session.send(`${line}\r\n`);
    const answer = await session.line();
    if (!answer.startsWith('+OK')) throw new Error(`${line.split(' ')[0]}: ${answer}`);
    return answer;
  };
  try {
    await session.line();
    await ask(`USER ${o.login}`);
    await ask(`PASS ${o.password}`);
    const count = Number(/^\+OK (\d+)/.exec(await ask('STAT'))?.[1]);
    for (let from = 1; from <= count; from += AT_ONCE) {
      const numbers = Array.from({ length: Math.min(AT_ONCE, count - from + 1) }, (_, at) => from + at);
      session.send(numbers.map((number) => `RETR ${number}\r\n`).join(''));
      for (const number of numbers) {
        const status = await session.line();
        if (!status.startsWith('+OK')) throw new Error(`RETR ${number}: ${status}`);
        const lines: string[] = [];
        for (let line = await session.line(); line !== '.'; line = await session.line()) lines.push(line);
        contents.push(`${lines.join('\r\n')}\r\n`);
      }
    }
    await ask('QUIT');
    return countIds(contents);
  } finally {
    session.end();
  }
}
