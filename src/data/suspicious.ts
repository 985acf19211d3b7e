/**
 * Finds a column that alone predicts the target: often the answer under another name, written down after the fact.
 * The rule is the simplest one there is: cut the column into intervals (or take its categories) and answer with the
 * commonest class, or the mean, of each; judged on rows that the rule did not see, in three folds.
 */
import type { Column, TableData } from './dataset';
import type { PlannedColumn } from './columns-plan';
import type { Target } from './target';

const MOST_ROWS = 5000;
/** Wide tables are judged on fewer rows, but never on fewer than a thousand. */
const MOST_CELLS = 1e6;
const ENOUGH_ROWS = 1000;
const FOLDS = 3;
const MOST_INTERVALS = 256;
const LEAST_ROWS = 20;
const SUSPICIOUS = 0.98;
/** Of the errors that guessing makes, the share that the column has to remove. */
const FAR_ABOVE_CHANCE = 0.9;

export interface SuspiciousColumn {
  readonly column: string;
  /** Accuracy, or R² for numbers. */
  readonly score: number;
}

export async function suspiciousColumns(
  table: TableData,
  target: Target,
  plan: readonly PlannedColumn[],
): Promise<SuspiciousColumn[]> {
  const used = plan.filter((planned) => planned.used).length;
  const most = Math.min(MOST_ROWS, Math.max(ENOUGH_ROWS, Math.floor(MOST_CELLS / used)));
  const rows = sampleRows(target.values, most);
  if (rows.length < LEAST_ROWS) return [];
  const found: SuspiciousColumn[] = [];
  for (const [index, { column, used: wanted }] of plan.entries()) {
    if (!wanted) continue;
    // A table of thousands of columns must not keep the worker from answering.
    if (index % 32 === 31) await new Promise((resolve) => setTimeout(resolve));
    const score = oneColumnScore(await table.column(column.name), target, rows);
    if (score !== null) found.push({ column: column.name, score });
  }
  return found;
}

/** Evenly spaced rows that have a target, so that sorted files are seen whole. */
function sampleRows(values: Float64Array, most: number): Uint32Array {
  const usable: number[] = [];
  values.forEach((value, row) => {
    if (!Number.isNaN(value)) usable.push(row);
  });
  const step = Math.max(1, usable.length / most);
  const count = Math.min(usable.length, most);
  return Uint32Array.from({ length: count }, (_, index) => usable[Math.floor(index * step)] ?? 0);
}

/** The score where it is suspicious, else null. */
function oneColumnScore(column: Column, target: Target, rows: Uint32Array): number | null {
  const truth = Float64Array.from(rows, (row) => target.values[row] ?? 0);
  const groups = groupsOf(column, rows);
  const classes = target.classes.length;
  const predicted = new Float64Array(rows.length);
  for (let fold = 0; fold < FOLDS; fold++) {
    const held = (index: number): boolean => index % FOLDS === fold;
    const answers =
      target.task === 'classification'
        ? commonest(groups, truth, classes, held)
        : means(groups, truth, held);
    groups.forEach((group, index) => {
      if (held(index)) predicted[index] = answers.get(group) ?? answers.get(ANY) ?? 0;
    });
  }
  if (target.task === 'regression') {
    const score = rSquared(truth, predicted);
    return score >= SUSPICIOUS ? score : null;
  }
  const right = truth.filter((value, index) => value === predicted[index]).length / truth.length;
  const counts = new Float64Array(classes);
  for (const value of truth) counts[value] = (counts[value] ?? 0) + 1;
  const chance = Math.max(...counts) / truth.length;
  const lift = (right - chance) / Math.max(1e-12, 1 - chance);
  return right >= SUSPICIOUS && lift >= FAR_ABOVE_CHANCE ? right : null;
}

/** The group of all rows: what a group that the rule never saw is answered with. */
const ANY = -2;

/** A column as group numbers: categories, distinct numbers, or intervals with equally many rows; -1 missing. */
function groupsOf(column: Column, rows: Uint32Array): Int32Array {
  if (column.storage === 'codes') return Int32Array.from(rows, (row) => column.codes[row] ?? -1);
  const values = Float64Array.from(rows, (row) => column.values[row] ?? Number.NaN);
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  const distinct = sorted.filter((value, index) => index === 0 || value !== sorted[index - 1]);
  // Six rows an interval leave four to learn its answer from.
  const intervals = Math.min(MOST_INTERVALS, Math.max(2, Math.floor(rows.length / 6)));
  let cuts = distinct;
  if (distinct.length > intervals) {
    const quantiles = Float64Array.from({ length: intervals }, (_, index) => {
      return sorted[Math.floor((index * sorted.length) / intervals)] ?? 0;
    });
    cuts = quantiles.filter((value, index) => index === 0 || value !== quantiles[index - 1]);
  }
  return Int32Array.from(values, (value) => (Number.isNaN(value) ? -1 : lastAtMost(cuts, value)));
}

/** Index of the last of the ascending `cuts` that is not above `value`. */
function lastAtMost(cuts: Float64Array, value: number): number {
  let low = 0;
  let high = cuts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((cuts[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function commonest(
  groups: Int32Array,
  truth: Float64Array,
  classes: number,
  held: (index: number) => boolean,
): Map<number, number> {
  const counts = new Map<number, Uint32Array>();
  const count = (group: number, value: number): void => {
    const known = counts.get(group) ?? new Uint32Array(classes);
    known[value] = (known[value] ?? 0) + 1;
    counts.set(group, known);
  };
  groups.forEach((group, index) => {
    if (held(index)) return;
    count(group, truth[index] ?? 0);
    count(ANY, truth[index] ?? 0);
  });
  const answers = new Map<number, number>();
  for (const [group, known] of counts) answers.set(group, known.indexOf(Math.max(...known)));
  return answers;
}

function means(
  groups: Int32Array,
  truth: Float64Array,
  held: (index: number) => boolean,
): Map<number, number> {
  const sums = new Map<number, { sum: number; count: number }>();
  const add = (group: number, value: number): void => {
    const known = sums.get(group) ?? { sum: 0, count: 0 };
    known.sum += value;
    known.count++;
    sums.set(group, known);
  };
  groups.forEach((group, index) => {
    if (held(index)) return;
    add(group, truth[index] ?? 0);
    add(ANY, truth[index] ?? 0);
  });
  return new Map([...sums].map(([group, { sum, count }]) => [group, sum / count]));
}

function rSquared(truth: Float64Array, predicted: Float64Array): number {
  const mean = truth.reduce((sum, value) => sum + value, 0) / truth.length;
  let residual = 0;
  let total = 0;
  truth.forEach((value, index) => {
    residual += (value - (predicted[index] ?? 0)) ** 2;
    total += (value - mean) ** 2;
  });
  return total > 0 ? 1 - residual / total : 0;
}
