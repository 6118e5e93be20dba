import { perSecondOf, type Row } from './rows.ts';
import { type Result, survive, type World } from './world.ts';

/** What is wrong with a row, in words; empty: it holds. */
export function faultsOf(row: Row, { lost, copies, acceptSilenceMs, isCounted }: Result): string[] {
  const { copiesAtMost, acceptSilenceAtMostMs = Number.POSITIVE_INFINITY } = row;
  return [
    ...(isCounted ? [] : ['the count does not close']),
    ...(lost.length > 0 ? [`${lost.length} lost, such as ${lost.slice(0, 3).join(', ')}`] : []),
    ...(copies > copiesAtMost ? [`${copies} copies, at most ${copiesAtMost} are allowed`] : []),
    ...(acceptSilenceMs > acceptSilenceAtMostMs
      ? [`${Math.round(acceptSilenceMs)} ms without a 250, at most ${acceptSilenceAtMostMs}`]
      : []),
  ];
}

export async function runRow(world: World, row: Row): Promise<Result> {
  const { name, octets } = row;
  return survive(world, { name, perSecond: perSecondOf(row), ...(octets !== undefined && { octets }) }, () => row.happen(world));
}
