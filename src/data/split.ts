/**
 * Train, validation and test rows, stratified: every class (or, for a number, every tenth of its range of ranks)
 * is spread over the parts by the same shares, and a class of three rows or more stands in all of them.
 * The same seed gives the same rows. Rows without a target are in no part. Where rows come in groups (vendors, places),
 * whole groups can be kept together, or named ones be the sealed test part.
 */
import { AppError } from '../core/errors';
import { PhiloxStream } from '../core/philox';
import { listed } from './dataset';
import type { SplitConfig, SplitPart, SplitShares } from '../protocol/entities';
import type { Target } from './target';

/** Rows of the dataset in ascending order. */
export type Parts = Readonly<Record<SplitPart, Uint32Array>>;

/** Which group each row belongs to. */
export interface RowGroups {
  readonly names: readonly string[];
  readonly codes: ArrayLike<number>;
}

type SplitTarget = Pick<Target, 'task' | 'classes' | 'values'>;

const QUANTILES = 10;
/** A class with fewer rows cannot stand in all three parts. */
export const LEAST_PER_CLASS = 3;

export function splitRows(
  target: SplitTarget,
  config: SplitConfig,
  groups: RowGroups | null = null,
): Parts {
  const shares = [config.train, config.validation, config.test];
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (shares.some((share) => !(share > 0)) || Math.abs(total - 1) > 1e-6) {
    throw new AppError(
      'data/split',
      `The parts must be above 0 % and add up to 100 %, not ${shares.map((share) => `${share * 100} %`).join(' + ')}.`,
      { shares },
    );
  }
  if (config.kind === 'stratified') return stratified(target, config);
  if (groups === null) {
    throw new AppError(
      'data/no-groups',
      'These rows do not come in groups. Split them at random instead, on the Split tab of the Data screen.',
      { kind: config.kind },
    );
  }
  return config.kind === 'fixed'
    ? byNamedGroups(target, config, groups)
    : byWholeGroups(target, config, groups);
}

/** The test part is the named groups; the rows of the others are spread over training and validation. */
function byNamedGroups(
  target: SplitTarget,
  config: SplitConfig & { readonly kind: 'fixed' },
  { names, codes }: RowGroups,
): Parts {
  const sealed = new Set(config.testGroups.map((name) => names.indexOf(name)));
  if (sealed.has(-1) || sealed.size === 0 || sealed.size >= names.length) {
    throw new AppError(
      'data/split-groups',
      `The test part must be some of the groups ${listed(names)}, and leave at least one to train on.`,
      { testGroups: config.testGroups, groups: names },
    );
  }
  const test: number[] = [];
  const open = target.values.map((value, row) => {
    if (!sealed.has(codes[row] ?? 0)) return value;
    if (!Number.isNaN(value)) test.push(row);
    return Number.NaN;
  });
  const kept = config.train + config.validation;
  const { train, validation } = stratified(
    { ...target, values: open },
    {
      ...config,
      train: config.train / kept,
      validation: config.validation / kept,
      test: 0,
    },
  );
  return whole({ train: [...train], validation: [...validation], test });
}

/**
 * Whole groups, largest first (ties shuffled), each to the part that is furthest below its share. With few groups the
 * shares cannot be kept exactly; three groups are one a part.
 */
function byWholeGroups(
  { values }: SplitTarget,
  config: SplitConfig,
  { names, codes }: RowGroups,
): Parts {
  const rowsOf = names.map((): number[] => []);
  values.forEach((value, row) => {
    if (!Number.isNaN(value)) rowsOf[codes[row] ?? 0]?.push(row);
  });
  const present = [...rowsOf.keys()].filter((group) => (rowsOf[group]?.length ?? 0) > 0);
  if (present.length < 3) {
    throw new AppError(
      'data/split-groups',
      `Whole groups can be kept together with three groups or more; here ${present.length === 1 ? 'is one' : `are ${present.length}`}. Split at random, or name the test group.`,
      { groups: names },
    );
  }
  const size = (group: number): number => rowsOf[group]?.length ?? 0;
  const order = [...shuffled(present, new PhiloxStream(config.seed, 'split-groups', 0))];
  order.sort((a, b) => size(b) - size(a));
  const total = order.reduce((sum, group) => sum + size(group), 0);
  const parts: Record<SplitPart, number[]> = { train: [], validation: [], test: [] };
  order.forEach((group, index) => {
    const left = order.length - index;
    const empty = PARTS.filter((part) => parts[part].length === 0);
    // As many groups as empty parts are left: each of them gets one.
    const open = empty.length === left ? empty : PARTS;
    const lack = (part: SplitPart): number => config[part] * total - parts[part].length;
    const to = open.reduce((best, part) => (lack(part) > lack(best) ? part : best));
    parts[to].push(...(rowsOf[group] ?? []));
  });
  return whole(parts);
}

const PARTS = ['train', 'validation', 'test'] as const;

function stratified(target: SplitTarget, config: SplitShares): Parts {
  const strata = target.task === 'classification' ? byClass(target) : byQuantile(target.values);
  const sizes = strata.map((rows) => rows.length);
  const test = config.test === 0 ? sizes.map(() => 0) : quotas(sizes, config.test, sizes.map(most));
  const left = sizes.map((size, index) => most(size) - (test[index] ?? 0));
  const validation = quotas(sizes, config.validation, left);
  const parts: Record<SplitPart, number[]> = { train: [], validation: [], test: [] };
  strata.forEach((rows, index) => {
    const order = shuffled(rows, new PhiloxStream(config.seed, 'split', index));
    const testEnd = test[index] ?? 0;
    const validationEnd = testEnd + (validation[index] ?? 0);
    order.forEach((row, position) => {
      const part = position < testEnd ? 'test' : position < validationEnd ? 'validation' : 'train';
      parts[part].push(row);
    });
  });
  if (config.test === 0) return inOrder(parts);
  return whole(parts);
}

/** Refuses an empty part. */
function whole(parts: Record<SplitPart, number[]>): Parts {
  const empty = PARTS.find((part) => parts[part].length === 0);
  if (empty) {
    const rows = PARTS.reduce((sum, part) => sum + parts[part].length, 0);
    throw new AppError(
      'data/too-few-rows',
      `${rows} rows with a target are too few for a training, a validation and a test part: the ${empty} part would be empty. Bring more rows.`,
      { rows, part: empty },
    );
  }
  return inOrder(parts);
}

function inOrder(parts: Record<SplitPart, number[]>): Parts {
  return {
    train: Uint32Array.from(parts.train).sort(),
    validation: Uint32Array.from(parts.validation).sort(),
    test: Uint32Array.from(parts.test).sort(),
  };
}

/** Rows of a stratum that need not train. */
function most(size: number): number {
  return Math.max(0, size - 1);
}

/**
 * How many rows of each stratum a part gets: the whole part of the share, then the largest remainders until the
 * part as a whole has its share; at least one where three rows are there, never more than `caps`.
 */
function quotas(sizes: readonly number[], share: number, caps: readonly number[]): number[] {
  const exact = sizes.map((size) => size * share);
  const counts = exact.map((value, index) => {
    const least = (sizes[index] ?? 0) >= LEAST_PER_CLASS ? 1 : 0;
    // A later part must still find one row: 3 rows are 1 + 1 + 1.
    const roof = Math.max(least, Math.min(caps[index] ?? 0, most(sizes[index] ?? 0) - 1));
    return Math.min(Math.max(Math.floor(value), least), roof);
  });
  const wanted = Math.round(exact.reduce((sum, value) => sum + value, 0));
  let given = counts.reduce((sum, count) => sum + count, 0);
  const order = sizes
    .map((_, index) => index)
    .sort((a, b) => remainder(exact, counts, b) - remainder(exact, counts, a) || a - b);
  for (const index of order) {
    if (given >= wanted) break;
    const roof = Math.min(caps[index] ?? 0, most(sizes[index] ?? 0) - 1);
    if (remainder(exact, counts, index) <= 0 || (counts[index] ?? 0) >= roof) continue;
    counts[index] = (counts[index] ?? 0) + 1;
    given++;
  }
  return counts;
}

function remainder(exact: readonly number[], counts: readonly number[], index: number): number {
  return (exact[index] ?? 0) - (counts[index] ?? 0);
}

function byClass({ classes, values }: Pick<Target, 'classes' | 'values'>): number[][] {
  const strata = classes.map((): number[] => []);
  values.forEach((value, row) => {
    if (!Number.isNaN(value)) strata[value]?.push(row);
  });
  return strata;
}

function byQuantile(values: Float64Array): number[][] {
  const rows: number[] = [];
  values.forEach((value, row) => {
    if (!Number.isNaN(value)) rows.push(row);
  });
  rows.sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0) || a - b);
  // At least ten rows a bin, so that every part meets every bin.
  const bins = Math.max(1, Math.min(QUANTILES, Math.floor(rows.length / 10)));
  return Array.from({ length: bins }, (_, bin) =>
    rows
      .slice(Math.floor((bin * rows.length) / bins), Math.floor(((bin + 1) * rows.length) / bins))
      .sort((a, b) => a - b),
  );
}

/** Fisher and Yates' shuffle (Durstenfeld, CACM 1964) of a copy. */
export function shuffled(rows: ArrayLike<number>, random: PhiloxStream): Uint32Array {
  const order = Uint32Array.from(rows);
  for (let last = order.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const row = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = row;
  }
  return order;
}
