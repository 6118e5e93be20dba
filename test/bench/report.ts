import { median } from './figures.ts';
import type { Figures, Row } from './measuring.ts';

/** A floor or a limit, and what was measured. */
export interface Verdict {
  readonly figure: string;
  /** Of the medians, or the median itself. */
  readonly value: number;
  readonly isRatio: boolean;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Summary {
  readonly row: Pick<Row, 'name' | 'title'>;
  /** By server: medians, and the lowest and highest of all runs. */
  readonly servers: ReadonlyMap<string, { readonly medians: Figures; readonly lowest: Figures; readonly highest: Figures }>;
  readonly verdicts: readonly Verdict[];
}

export const isWithin = ({ value, atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Verdict): boolean =>
  value >= atLeast && value <= atMost;

const ofAll = (runs: readonly Figures[], pick: (values: readonly number[]) => number): Figures =>
  Object.fromEntries(Object.keys(runs[0] ?? {}).map((figure) => [figure, pick(runs.map((run) => run[figure] ?? Number.NaN))]));

export function summarize(row: Row, runs: ReadonlyMap<string, readonly Figures[]>): Summary {
  const servers = new Map(
    [...runs]
      .filter(([, all]) => all.length > 0)
      .map(([name, all]) => [
        name,
        {
          medians: ofAll(all, median),
          lowest: ofAll(all, (values) => Math.min(...values)),
          highest: ofAll(all, (values) => Math.max(...values)),
        },
      ]),
  );
  const ours = servers.get('Angarium')?.medians ?? {};
  const peer = servers.get('Postfix')?.medians;
  const limits = row.limits
    .filter(({ figure }) => figure in ours)
    .map((limit) => ({ ...limit, value: ours[limit.figure] ?? Number.NaN, isRatio: false }));
  const floors = row.floors.map((floor) => ({
    ...floor,
    value: (ours[floor.figure] ?? 0) / (peer?.[floor.figure] ?? Number.NaN),
    isRatio: true,
  }));
  return { row, servers, verdicts: [...(peer === undefined ? [] : floors), ...limits] };
}

const round = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3).replace(/\.?0+$/, ''));

function verdictText(verdict: Verdict): string {
  const { figure, value, isRatio, atLeast, atMost } = verdict;
  const wanted = atLeast === undefined ? `at most ${round(atMost ?? 0)}` : `at least ${round(atLeast)}`;
  const times = isRatio ? ' ×' : '';
  return `${figure} ${round(value)}${times} (${wanted}${times}): ${isWithin(verdict) ? 'met' : '**falls short**'}`;
}

/** A Markdown table per row: a line a server, a column a figure, and the verdicts below. */
export function renderReport(summaries: readonly Summary[]): string {
  return summaries
    .map(({ row, servers, verdicts }) => {
      const figures = [...new Set([...servers.values()].flatMap(({ medians }) => Object.keys(medians)))];
      const lines = [...servers].map(([name, { medians, lowest, highest }]) => {
        const cells = figures.map((figure) => {
          const value = medians[figure];
          if (value === undefined) return '';
          const [low = value, high = value] = [lowest[figure], highest[figure]];
          return low === high ? round(value) : `${round(value)} [${round(low)}-${round(high)}]`;
        });
        return `| ${name} | ${cells.join(' | ')} |`;
      });
      const head = `| ${row.name} | ${figures.join(' | ')} |\n|---|${figures.map(() => '---').join('|')}|`;
      return `### ${row.title}\n\n${head}\n${lines.join('\n')}\n\n${verdicts.map((verdict) => `- ${verdictText(verdict)}`).join('\n')}\n`;
    })
    .join('\n');
}
