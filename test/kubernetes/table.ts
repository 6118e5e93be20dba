/** What was shown, a line of docs/kubernetes.md. */
export interface Row {
  readonly what: string;
  readonly shown: string;
}

export function formatTable(rows: readonly Row[]): string {
  return ['| What | Shown |', '|---|---|', ...rows.map(({ what, shown }) => `| ${what} | ${shown} |`)].join('\n');
}
