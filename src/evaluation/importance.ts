/**
 * Permutation importance: how much worse the model gets when one column is shuffled among the rows.
 *   importance_j = s(y, f(X)) - mean over repeats of s(y, f(X with column j permuted))
 * Source: Breiman 2001, "Random Forests"; as scikit-learn's permutation_importance. The interval is a bootstrap
 * over rows of the scores averaged over repeats, so it covers which rows happened to be drawn.
 */
import { permutation } from '../core/philox';
import type { Estimate, ImportanceReport, TaskType } from '../protocol/entities';
import { bootstrap } from './intervals';

export interface ImportanceInput {
  readonly task: TaskType;
  readonly rows: number;
  readonly columns: readonly string[];
  readonly truth: Float64Array;
  readonly seed: number;
  readonly repeats: number;
  /** Predicted class index or value of each row, with `column`'s values taken from the rows in `order`. */
  readonly predict: (
    permuted: { readonly column: number; readonly order: Uint32Array } | null,
  ) => Promise<Float64Array>;
}

export async function permutationImportance(input: ImportanceInput): Promise<ImportanceReport> {
  const { task, rows, columns, seed, repeats, predict } = input;
  const plain = losses(input, await predict(null));
  const features: { column: string; drop: Estimate }[] = [];
  for (const [index, column] of columns.entries()) {
    const shuffled = new Float64Array(rows);
    for (let repeat = 0; repeat < repeats; repeat++) {
      const order = permutation(rows, seed, `importance:${column}`, repeat);
      const found = losses(input, await predict({ column: index, order }));
      for (let row = 0; row < rows; row++)
        shuffled[row] = (shuffled[row] ?? 0) + (found[row] ?? 0) / repeats;
    }
    features.push({ column, drop: dropOf(task, plain, shuffled, seed, column) });
  }
  features.sort((a, b) => b.drop.value - a.drop.value);
  const baseline =
    task === 'classification' ? 1 - meanOf(plain) : Math.sqrt(Math.max(0, meanOf(plain)));
  return { metric: task === 'classification' ? 'accuracy' : 'rmse', baseline, features };
}

/** 0/1 loss or squared error of each row. */
function losses({ task, truth }: ImportanceInput, predicted: Float64Array): Float64Array {
  return predicted.map((value, row) => {
    const actual = truth[row] ?? 0;
    if (task === 'classification') return value === actual ? 0 : 1;
    return (value - actual) ** 2;
  });
}

function dropOf(
  task: TaskType,
  plain: Float64Array,
  shuffled: Float64Array,
  seed: number,
  column: string,
): Estimate {
  const rise = (rows: Uint32Array) => {
    let before = 0;
    let after = 0;
    for (const row of rows) {
      before += plain[row] ?? 0;
      after += shuffled[row] ?? 0;
    }
    before /= rows.length;
    after /= rows.length;
    return task === 'classification' ? after - before : Math.sqrt(after) - Math.sqrt(before);
  };
  const value = rise(Uint32Array.from(plain, (_, index) => index));
  const [interval] = bootstrap(plain.length, seed, `importance:${column}`, (drawn) => [
    rise(drawn),
  ]);
  return { value, low: interval?.low ?? value, high: interval?.high ?? value };
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}
