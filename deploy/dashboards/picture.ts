import type { Panel } from './panel.ts';

export interface Line {
  readonly legend: string;
  /** Oldest first. */
  readonly values: readonly number[];
}

/** A panel where it stands in the dashboard, in Grafana's grid of 24 columns. */
export interface DrawnPanel {
  readonly title: string;
  readonly unit: string;
  readonly isNumber: boolean;
  readonly at: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly lines: readonly Line[];
}

const [COLUMN, ROW, GAP, TITLE] = [44, 22, 6, 20];
const COLORS = ['#3871dc', '#e0752d', '#3f9142', '#b877d9', '#c4162a', '#6d7278', '#14808a', '#8f3bb8'];
const FORMATS: Readonly<Record<Panel['unit'], (value: number) => string>> = {
  s: (value) => (value < 1 ? `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms` : `${value.toFixed(1)} s`),
  reqps: (value) => `${value.toFixed(value < 10 ? 1 : 0)}/s`,
  bytes: (value) => `${(value / 1024 ** 2).toFixed(0)} MiB`,
  Bps: (value) => `${(value / 1024).toFixed(0)} KiB/s`,
  percentunit: (value) => `${(value * 100).toFixed(0)} %`,
  short: (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2)),
};

const escapeXml = (text: string) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
const format = (unit: string, value: number) => (FORMATS[unit] ?? String)(value);

function drawLines(
  { lines, unit }: DrawnPanel,
  box: { readonly x: number; readonly y: number; readonly w: number; readonly h: number },
): string {
  const shown = lines.slice(0, COLORS.length);
  const most = Math.max(...shown.flatMap(({ values }) => values).filter(Number.isFinite), 0) || 1;
  const paths = shown.map(({ values }, index) => {
    const points = values.flatMap((value, at) =>
      Number.isFinite(value)
        ? [`${(box.x + (at / Math.max(1, values.length - 1)) * box.w).toFixed(1)},${(box.y + box.h - (value / most) * box.h).toFixed(1)}`]
        : [],
    );
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${COLORS[index]}" stroke-width="1.5"/>`;
  });
  const legend = shown.map(
    ({ legend: text }, index) =>
      `<text x="${box.x + (index % 3) * (box.w / 3)}" y="${box.y + box.h + 14 + Math.floor(index / 3) * 12}" font-size="10" fill="${COLORS[index]}">${escapeXml(text)}</text>`,
  );
  return `${paths.join('')}<text x="${box.x}" y="${box.y - 3}" font-size="9" fill="#8e8e8e">${format(unit, most)}</text>${legend.join('')}`;
}

function drawPanel(panel: DrawnPanel): string {
  const { at, title, lines, unit, isNumber } = panel;
  const [x, y, w, h] = [at.x * COLUMN + GAP, at.y * ROW + GAP, at.w * COLUMN - GAP, at.h * ROW - GAP];
  const frame = `<rect x="${x}" y="${y}" width="${w}" height="${h}" rx="3" fill="#ffffff" stroke="#d8d9da"/>`;
  const head = `<text x="${x + 8}" y="${y + 15}" font-size="12" font-weight="600" fill="#24292e">${escapeXml(title)}</text>`;
  if (!isNumber) return frame + head + drawLines(panel, { x: x + 8, y: y + TITLE + 12, w: w - 16, h: h - TITLE - 56 });
  const value = lines[0]?.values.at(-1) ?? Number.NaN;
  return `${frame}${head}<text x="${x + w / 2}" y="${y + h / 2 + 18}" font-size="26" text-anchor="middle" fill="#3f9142">${format(unit, value)}</text>`;
}

/** The dashboard as an SVG, with what its queries gave. It is no picture of Grafana, and says so. */
export function drawDashboard(title: string, panels: readonly DrawnPanel[]): string {
  const height = Math.max(...panels.map(({ at }) => at.y + at.h)) * ROW + 34;
  const width = 24 * COLUMN + GAP;
  const note = `${title}: drawn from the dashboard’s own queries`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="Helvetica, Arial, sans-serif"><title>${escapeXml(note)}</title><rect width="${width}" height="${height}" fill="#f4f5f5"/>${panels.map(drawPanel).join('')}<text x="${GAP}" y="${height - 10}" font-size="11" fill="#6d7278">${escapeXml(note)}</text></svg>\n`;
}
