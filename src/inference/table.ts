/** A table with its predictions: the person's columns as they were, then prediction, confidence and classes. */
import type { PredictionTable } from '../protocol/api';
import type { FittedRecipe } from '../protocol/entities';
import { argMax, probabilitiesAt } from './predict';
import type { Predictions } from './predict';

export interface AnsweredTable {
  readonly header: readonly string[];
  readonly rows: Iterable<readonly string[]>;
}

export function answeredTable(
  table: PredictionTable,
  recipe: FittedRecipe,
  predictions: Predictions,
): AnsweredTable {
  const { target } = recipe;
  const added =
    target.task === 'classification'
      ? ['prediction', 'confidence', ...target.classes.map((label) => `probability ${label}`)]
      : ['prediction'];
  const taken = new Set(table.header);
  return {
    header: [...table.header, ...added.map((name) => freeName(name, taken))],
    rows: answeredRows(table, recipe, predictions),
  };
}

function* answeredRows(
  table: PredictionTable,
  { target }: FittedRecipe,
  predictions: Predictions,
): Generator<readonly string[]> {
  for (const [index, cells] of table.cells.entries()) {
    const whole = table.header.map((_, column) => cells[column] ?? '');
    if (target.task === 'regression') {
      yield [...whole, shown(predictions.values[index] ?? NaN)];
      continue;
    }
    const probabilities = probabilitiesAt(predictions, index, target.classes.length);
    const best = argMax(probabilities);
    yield [
      ...whole,
      target.classes[best] ?? '',
      shown(probabilities[best] ?? NaN),
      ...probabilities.map(shown),
    ];
  }
}

/** float32 carries about 7 digits; more would be noise. */
function shown(value: number): string {
  return String(Number(value.toPrecision(7)));
}

/** A file that already has a column of that name keeps it; ours gets a number. */
function freeName(name: string, taken: Set<string>): string {
  let free = name;
  for (let count = 2; taken.has(free); count++) free = `${name} ${count}`;
  taken.add(free);
  return free;
}
