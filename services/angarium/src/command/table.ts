import type { Command } from 'commander';
import type { Terminal } from './terminal.ts';

/** Columns as wide as their widest cell, two blanks between; a line per row. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return `${[head, ...rows].map(line).join('\n')}\n`;
}

/** What is listed, and how a line shows it. */
export interface Listing<T> {
  readonly values: readonly T[];
  readonly head: readonly string[];
  readonly row: (value: T) => readonly string[];
}

/** Prints a table, or the values themselves with `--json`. */
export function print<T>(command: Command, { write }: Terminal, { values, head, row }: Listing<T>): void {
  write(command.opts().json ? `${JSON.stringify(values, null, 2)}\n` : formatTable(head, values.map(row)));
}

/** ISO 8601; 0 is no instant. */
export const instant = (ms: number): string => (ms === 0 ? '-' : new Date(ms).toISOString());
