import { spawnSync } from 'node:child_process';

/** False where python3 is there; else why the test is skipped. */
export const pythonMissing: string | false =
  spawnSync('python3', ['-c', 'import email, json']).status === 0
    ? false
    : 'NOT RUN: python3 is not installed, so no independent reader checks this';

/** Runs a script of python3 with `input` as JSON on its standard input; gives what it prints as JSON. */
export function askPython(script: string, input: unknown): unknown {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', script], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`python3: ${stderr}`);
  return JSON.parse(stdout);
}
