/**
 * Which columns a model sees, and in what role. Identifiers, constants, free text, dates and columns of many
 * categories are left out with their reason; a person's switch overrides that, within what a model can take.
 */
import type {
  ColumnManifest,
  DataFinding,
  RecipeConfig,
  TableManifest,
} from '../protocol/entities';

export const MOST_CATEGORIES = 50;

export interface PlannedColumn {
  readonly column: ColumnManifest;
  readonly used: boolean;
  /** Why it is left out unless switched on; null for an ordinary column. */
  readonly reason: DataFinding | null;
  readonly role: 'numeric' | 'categorical';
}

/** All columns but the target, in file order. */
export function planColumns(
  table: TableManifest,
  target: string,
  use: RecipeConfig['use'],
): readonly PlannedColumn[] {
  return table.columns
    .filter((column) => column.name !== target)
    .map((column) => {
      const reason = whyLeftOut(column);
      const wanted = Object.hasOwn(use, column.name) ? use[column.name] === true : reason === null;
      const role = column.storage === 'float64' ? 'numeric' : 'categorical';
      // A column without a single value has nothing to offer, switched on or not.
      return { column, used: wanted && column.distinct > 0, reason, role };
    });
}

function whyLeftOut(column: ColumnManifest): DataFinding | null {
  const finding = (code: DataFinding['code'], message: string): DataFinding => ({
    code,
    column: column.name,
    message,
  });
  switch (column.kind) {
    case 'identifier':
      return finding('identifier', 'Names each row; a model would learn it by heart.');
    case 'constant':
      return column.distinct === 0
        ? finding('constant', 'Empty in every row.')
        : finding('constant', 'The same in every row; nothing to learn from.');
    case 'text':
      return finding('free-text', 'Free text; tables are learned from numbers and categories.');
    case 'date':
      return finding('date', 'A date or time; add a number such as the age in days instead.');
    case 'categorical':
      return column.distinct > MOST_CATEGORIES
        ? finding(
            'too-many-categories',
            `${column.distinct} different values; more than ${MOST_CATEGORIES} are too many to tell apart.`,
          )
        : null;
    case 'numeric':
      return null;
  }
}

/**
 * Whether float32, in which a model sees numbers, still tells this column's values apart: rounding must stay
 * below a thousandth of their standard deviation. Millisecond timestamps and long account numbers fail.
 */
export function tooLargeForFloat32(values: Float64Array): boolean {
  let count = 0;
  let mean = 0;
  let squares = 0;
  let rounding = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    const error = Math.abs(value - Math.fround(value));
    if (error === Number.POSITIVE_INFINITY) return true;
    rounding = Math.max(rounding, error);
    // Welford's update: sums of squares of large numbers would cancel.
    count++;
    const difference = value - mean;
    mean += difference / count;
    squares += difference * (value - mean);
  }
  return rounding > 0 && rounding > 1e-3 * Math.sqrt(squares / Math.max(1, count));
}
