/**
 * Text on the interpreter. Its kernels move, pick and compare numbers, so a text is held as its place in a list of all
 * texts met: what gathers, joins, reshapes or tests for equality does so with text too. The list only grows; text
 * occurs in labels and names, not in data.
 */
import { AppError } from '../core/errors';
import { throughType } from '../core/number-format';
import type { DType } from '../core/dtype';

/** The first is what an empty value holds. */
const texts: string[] = [''];
const places = new Map<string, number>([['', 0]]);

export function placeOfText(text: string): number {
  const known = places.get(text);
  if (known !== undefined) return known;
  places.set(text, texts.length);
  return texts.push(text) - 1;
}

export function textAt(place: number): string {
  const text = texts[place];
  if (text === undefined) {
    throw new AppError('onnx/text', `A text tensor holds the number ${place}, which is no text.`);
  }
  return text;
}

const WORDS = new Map([
  ['nan', NaN],
  ['inf', Infinity],
  ['+inf', Infinity],
  ['-inf', -Infinity],
]);

/** `3.14`, `1e-5`, `INF`, `NaN`. @throws AppError `onnx/text` for what is no number */
export function numberFromText(text: string): number {
  const trimmed = text.trim();
  const number = WORDS.get(trimmed.toLowerCase()) ?? Number(trimmed);
  const isNumber = trimmed !== '' && (!Number.isNaN(number) || WORDS.has(trimmed.toLowerCase()));
  if (isNumber) return number;
  throw new AppError('onnx/text', `The text "${text}" is to be made a number, but is none.`, {
    text,
  });
}

/** The fewest digits that the type reads back as the same number. */
export function numberToText(value: number, dtype: Exclude<DType, 'string'>): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'INF' : '-INF';
  const same = (text: string) => {
    const [back] = throughType(dtype, Float64Array.of(Number(text)));
    return back === value;
  };
  for (let digits = 1; digits < 17; digits++) {
    const text = String(Number(value.toPrecision(digits)));
    if (same(text)) return text;
  }
  return String(value);
}
