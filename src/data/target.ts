/** What is to be predicted: the column suggested, the task that fits it, and the truth of every row. */
import { AppError } from '../core/errors';
import { IMAGE_TARGET, listed } from './dataset';
import { MOST_CATEGORIES } from './columns-plan';
import type { ColumnManifest, RunConfig, TableManifest, TaskType } from '../protocol/entities';
import type { Column, Dataset } from './dataset';

export interface Target {
  readonly column: string;
  readonly task: TaskType;
  /** Empty for regression. */
  readonly classes: readonly string[];
  /** Class index or value of each row, NaN where it is missing. */
  readonly values: Float64Array;
}

/** More classes than this need more than this studio's models. */
const MOST_CLASSES = 200;
const FEW_NUMBERS = 20;
const HINTS: readonly RegExp[] = [
  /^(target|label|labels|class|classes|y|outcome|response)$/i,
  /(^|[\s_.-])(target|label|class|outcome|diagnosis|species|category|survived|churn|default|result|grade|quality)$/i,
  /(^|[\s_.-])(price|cost|score|rating|value|sales|amount|type)$/i,
];

export function suggestTarget(dataset: Dataset): {
  column: string;
  task: TaskType;
  reason: string;
} {
  if (dataset.type === 'images') {
    return {
      column: IMAGE_TARGET,
      task: 'classification',
      reason: 'Every picture carries a label.',
    };
  }
  const columns = dataset.manifest.columns.filter(canBeTarget);
  if (columns.length === 0) {
    throw new AppError(
      'data/no-target',
      `No column of "${dataset.manifest.name}" can be predicted: each is constant, an identifier, a date or free text. Add a column with the answer.`,
    );
  }
  for (const hint of HINTS) {
    const named = columns.find((column) => hint.test(column.name));
    if (named) return suggestion(named, `It is called "${named.name}".`);
  }
  const last = columns.at(-1);
  const first = columns[0];
  if (last && dataset.manifest.columns.at(-1) === last && isClasses(last)) {
    return suggestion(last, `It is the last column and has ${last.distinct} different values.`);
  }
  const few = columns.filter((column) => column.storage === 'codes' && isClasses(column));
  const fewest = few.sort((a, b) => a.distinct - b.distinct)[0];
  if (fewest) return suggestion(fewest, `It has only ${fewest.distinct} different values.`);
  const chosen = last ?? first;
  if (!chosen) throw new AppError('internal/invariant', 'A table without columns was stored.');
  return suggestion(chosen, 'It is the last column.');
}

function suggestion(
  column: ColumnManifest,
  reason: string,
): { column: string; task: TaskType; reason: string } {
  return { column: column.name, task: taskFor(column), reason };
}

function canBeTarget(column: ColumnManifest): boolean {
  if (column.kind === 'numeric') return true;
  return column.kind === 'categorical' && column.distinct <= MOST_CATEGORIES;
}

function isClasses(column: ColumnManifest): boolean {
  return taskFor(column) === 'classification';
}

/** Text is classified; so are up to 20 different whole numbers; all else is a quantity. */
export function taskFor(column: ColumnManifest): TaskType {
  if (column.storage === 'codes') return 'classification';
  if (column.distinct > FEW_NUMBERS) return 'regression';
  // Whole numbers between these ends: distinct cannot exceed the span plus one.
  const { min = 0, max = 0 } = column;
  const whole = Number.isInteger(min) && Number.isInteger(max);
  return whole && column.distinct <= max - min + 1 ? 'classification' : 'regression';
}

export async function readTarget(
  dataset: Dataset,
  { target, task }: Pick<RunConfig, 'target' | 'task'>,
): Promise<Target> {
  if (dataset.type === 'images') {
    if (target !== IMAGE_TARGET || task !== 'classification') {
      throw new AppError(
        'data/unknown-column',
        `Pictures have one column to predict, "${IMAGE_TARGET}", by classification.`,
        { column: target },
      );
    }
    const classes = dataset.manifest.classes;
    return { column: target, task, classes, values: Float64Array.from(dataset.labels) };
  }
  const column = await dataset.column(target);
  return task === 'regression' ? numbers(column) : classified(column, dataset.manifest);
}

function numbers(column: Column): Target {
  const { name } = column.manifest;
  if (column.storage === 'codes') {
    throw new AppError(
      'data/target-not-numeric',
      `"${name}" holds text such as ${listed(column.vocabulary.slice(0, 3))}, so it cannot be predicted as a number. Choose classification, or another column.`,
      { column: name },
    );
  }
  return { column: name, task: 'regression', classes: [], values: column.values };
}

/** Classes in ascending order: numbers by value, texts by code unit, so that no locale changes a model. */
function classified(column: Column, table: TableManifest): Target {
  const { name } = column.manifest;
  const texts = column.storage === 'codes';
  const distinct: readonly (string | number)[] = texts
    ? [...column.vocabulary].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
    : [...new Set(column.values)].filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  if (distinct.length < 2) {
    throw new AppError(
      'data/one-class',
      `"${name}" has ${distinct.length === 0 ? 'no value' : 'one value'} in "${table.name}"; there is nothing to tell apart. Choose another column.`,
      { column: name },
    );
  }
  if (distinct.length > MOST_CLASSES) {
    throw new AppError(
      'data/too-many-classes',
      `"${name}" has ${distinct.length} different values; at most ${MOST_CLASSES} can be told apart. Choose another column${texts ? '' : ', or predict it as a number'}.`,
      { column: name, classes: distinct.length },
    );
  }
  const index = new Map(distinct.map((value, position) => [value, position]));
  const values = texts
    ? Float64Array.from(column.codes, (code) => {
        return index.get(column.vocabulary[code] ?? '') ?? Number.NaN;
      })
    : column.values.map((value) => index.get(value) ?? Number.NaN);
  return { column: name, task: 'classification', classes: distinct.map(String), values };
}
