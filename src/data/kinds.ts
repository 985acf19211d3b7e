/** What a column is taken for, from all its values. Only numeric and categorical columns reach a model unasked. */
import { isDate } from './readers/values';
import type { ColumnKind } from '../protocol/entities';
import type { ColumnValues } from './readers/columns';

export interface ColumnFacts {
  readonly kind: ColumnKind;
  readonly distinct: number;
  readonly min?: number;
  readonly max?: number;
}

/** Fewer rows than this say nothing about whether a column numbers them. */
const ENOUGH_ROWS = 20;
const NAMES_ROWS =
  /(^|[\s_.-])(id|uid|uuid|guid|index|idx|key|nr|no|num|number|row|serial)$|^(id|row|index)[\s_.-]|[a-z]I[dD]$|^unnamed|^column 1$/i;

export function columnFacts(name: string, column: ColumnValues, missing: number): ColumnFacts {
  return column.storage === 'float64'
    ? numericFacts(name, column.values, missing)
    : textFacts(name, column.codes, column.vocabulary, missing);
}

function numericFacts(name: string, values: Float64Array, missing: number): ColumnFacts {
  // NaN sorts last, so the present values are the first ones.
  const sorted = values.slice().sort();
  const present = values.length - missing;
  let distinct = 0;
  let whole = true;
  let consecutive = true;
  for (let index = 0; index < present; index++) {
    const value = sorted[index] ?? 0;
    if (index === 0 || value !== sorted[index - 1]) distinct++;
    if (!Number.isInteger(value)) whole = false;
    if (index > 0 && value !== (sorted[index - 1] ?? 0) + 1) consecutive = false;
  }
  if (distinct <= 1) {
    return { kind: 'constant', distinct, ...(present > 0 && range(sorted, present)) };
  }
  const unique = distinct === values.length && whole && values.length >= ENOUGH_ROWS;
  const identifier = unique && (consecutive || NAMES_ROWS.test(name));
  return { kind: identifier ? 'identifier' : 'numeric', distinct, ...range(sorted, present) };
}

function range(sorted: Float64Array, present: number): { min: number; max: number } {
  return { min: sorted[0] ?? 0, max: sorted[present - 1] ?? 0 };
}

function textFacts(
  name: string,
  codes: Int32Array,
  vocabulary: readonly string[],
  missing: number,
): ColumnFacts {
  const distinct = vocabulary.length;
  const present = codes.length - missing;
  if (distinct <= 1) return { kind: 'constant', distinct };
  if (vocabulary.every(isDate)) return { kind: 'date', distinct };
  let characters = 0;
  let words = 0;
  const sample = vocabulary.slice(0, 2000);
  for (const text of sample) {
    characters += text.length;
    words += text.slice(0, 1000).split(/\s+/).length;
  }
  const meanLength = characters / sample.length;
  const meanWords = words / sample.length;
  const share = distinct / present;
  if (present >= ENOUGH_ROWS) {
    if (share > 0.5 && (meanWords >= 3 || meanLength > 40)) return { kind: 'text', distinct };
    if (share > 0.95 || (share > 0.5 && NAMES_ROWS.test(name))) {
      return { kind: 'identifier', distinct };
    }
  }
  return { kind: meanLength > 100 ? 'text' : 'categorical', distinct };
}
