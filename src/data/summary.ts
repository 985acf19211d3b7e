/** Histograms and counts of every column, stacked by the target's classes: the Columns tab. */
import { GROUP_COLUMN, IMAGE_TARGET } from './dataset';
import { taskFor } from './target';
import { readTarget } from './target';
import type { ColumnSummary, DatasetSummary } from '../protocol/api';
import type { Column, Dataset, ImageData } from './dataset';
import type { Target } from './target';

const BARS = 20;
/** Categories with a bar of their own; the rest share one. */
const MOST_BARS = 12;
const MOST_STACKS = 12;

type Bar = ColumnSummary['bars'][number];

export async function summarise(dataset: Dataset, column: string | null): Promise<DatasetSummary> {
  const target = column === null ? null : await stackingTarget(dataset, column);
  const classes = target?.classes ?? [];
  const rows = dataset.manifest.rows;
  if (dataset.type === 'images') return { rows, classes, columns: pictureColumns(dataset) };
  const columns: ColumnSummary[] = [];
  for (const { name } of dataset.manifest.columns) {
    columns.push(columnSummary(await dataset.column(name), target));
  }
  return { rows, classes, columns };
}

/** Only few classes can be told apart as stacks; a number has none. */
async function stackingTarget(dataset: Dataset, column: string): Promise<Target | null> {
  if (dataset.type === 'images')
    return readTarget(dataset, { target: column, task: 'classification' });
  const { manifest } = await dataset.column(column);
  const stackable =
    manifest.distinct >= 2 &&
    manifest.distinct <= MOST_STACKS &&
    taskFor(manifest) === 'classification';
  return stackable ? readTarget(dataset, { target: column, task: 'classification' }) : null;
}

function columnSummary(column: Column, target: Target | null): ColumnSummary {
  const { name, kind, missing, distinct } = column.manifest;
  const base = { name, kind, missing, distinct };
  if (column.storage === 'codes') return { ...base, bars: categoryBars(column, target) };
  const present = column.values.filter((value) => !Number.isNaN(value)).sort();
  if (present.length === 0) return { ...base, bars: [] };
  const low = present[0] ?? 0;
  const high = present.at(-1) ?? low;
  const sum = present.reduce((total, value) => total + value, 0);
  const middle = present.length >> 1;
  const upper = present[middle] ?? 0;
  const median = present.length % 2 === 1 ? upper : ((present[middle - 1] ?? 0) + upper) / 2;
  const bars = numericBars(column.values, low, high, distinct, target);
  return { ...base, bars, mean: sum / present.length, median, min: low, max: high };
}

function numericBars(
  values: Float64Array,
  low: number,
  high: number,
  distinct: number,
  target: Target | null,
): Bar[] {
  // Few whole numbers get a bar each; halves around them keep the bars equally wide.
  const span = high - low;
  const each = distinct <= BARS && Number.isInteger(low) && Number.isInteger(high) && span < BARS;
  const start = each ? low - 0.5 : low;
  const count = span === 0 ? 1 : each ? span + 1 : BARS;
  const width = each ? 1 : span === 0 ? 1 : span / count;
  const counts = new Float64Array(count);
  const stacks = Array.from({ length: count }, () => new Float64Array(target?.classes.length ?? 0));
  values.forEach((value, row) => {
    if (Number.isNaN(value)) return;
    const bar = Math.min(count - 1, Math.max(0, Math.floor((value - start) / width)));
    counts[bar] = (counts[bar] ?? 0) + 1;
    stack(stacks[bar], target, row);
  });
  return Array.from(counts, (n, bar) => {
    const from = start + bar * width;
    const to = bar === count - 1 && !each ? high : from + width;
    const label = each ? String(low + bar) : `${short(from)} – ${short(to)}`;
    return { label, low: from, high: to, count: n, stacks: [...(stacks[bar] ?? [])] };
  });
}

function categoryBars(column: Extract<Column, { storage: 'codes' }>, target: Target | null): Bar[] {
  const counts = new Float64Array(column.vocabulary.length);
  for (const code of column.codes) if (code >= 0) counts[code] = (counts[code] ?? 0) + 1;
  const order = [...counts.keys()].sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a - b);
  const shown = order.slice(0, MOST_BARS);
  const place = new Map(shown.map((code, position) => [code, position]));
  const rest = order.length - shown.length;
  const stacks = Array.from(
    { length: shown.length + 1 },
    () => new Float64Array(target?.classes.length ?? 0),
  );
  column.codes.forEach((code, row) => {
    if (code >= 0) stack(stacks[place.get(code) ?? shown.length], target, row);
  });
  const bars = shown.map((code, position): Bar => {
    const label = column.vocabulary[code] ?? '';
    return { label, count: counts[code] ?? 0, stacks: [...(stacks[position] ?? [])] };
  });
  if (rest > 0) {
    const count = order.slice(MOST_BARS).reduce((sum, code) => sum + (counts[code] ?? 0), 0);
    bars.push({ label: `${rest} others`, count, stacks: [...(stacks[shown.length] ?? [])] });
  }
  return bars;
}

function stack(into: Float64Array | undefined, target: Target | null, row: number): void {
  const value = target?.values[row] ?? Number.NaN;
  if (into && !Number.isNaN(value)) into[value] = (into[value] ?? 0) + 1;
}

function pictureColumns({ labels: codes, groups, manifest }: ImageData): ColumnSummary[] {
  const columns = [labels(codes, manifest.classes)];
  if (groups) {
    const bars = groups.names.map((label) => ({
      label,
      count: 0,
      stacks: manifest.classes.map(() => 0),
    }));
    groups.codes.forEach((code, row) => {
      const bar = bars[code];
      if (!bar) return;
      bar.count++;
      const at = codes[row] ?? 0;
      bar.stacks[at] = (bar.stacks[at] ?? 0) + 1;
    });
    const distinct = groups.names.length;
    columns.push({ name: GROUP_COLUMN, kind: 'categorical', missing: 0, distinct, bars });
  }
  return columns;
}

function labels(values: Uint8Array, classes: readonly string[]): ColumnSummary {
  const counts = classes.map(() => 0);
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  const bars = classes.map((label, index) => ({
    label,
    count: counts[index] ?? 0,
    stacks: classes.map((_, other) => (other === index ? (counts[index] ?? 0) : 0)),
  }));
  return { name: IMAGE_TARGET, kind: 'categorical', missing: 0, distinct: classes.length, bars };
}

/** Four figures are enough to name a bar. */
function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
