/** A row as a person fills it in: numbers (null for unknown) and categories (the recipe's codes), typical at first. */
import type { FittedRecipe } from '../protocol/entities';
import type { ModelInputs } from './try-one.svelte';

export type TableInput = Extract<FittedRecipe['input'], { readonly type: 'table' }>;

/** Codes of the recipe: 0 missing, 1 other, 2 and on the vocabulary. */
const FIRST_CODE = 2;

export class TableForm {
  readonly input: TableInput;
  #numbers = $state.raw<readonly (number | null)[]>([]);
  #codes = $state.raw<readonly number[]>([]);

  constructor(input: TableInput) {
    this.input = input;
    this.reset();
  }

  get numbers(): readonly (number | null)[] {
    return this.#numbers;
  }

  get codes(): readonly number[] {
    return this.#codes;
  }

  reset(): void {
    this.#numbers = this.input.numeric.map(({ impute }) => Number(impute.toPrecision(6)));
    this.#codes = this.input.categorical.map(
      ({ vocabulary, typical }) => Math.max(0, vocabulary.indexOf(typical)) + FIRST_CODE,
    );
  }

  setNumber(index: number, value: number | null): void {
    this.#numbers = this.#numbers.with(index, value);
  }

  setCode(index: number, code: number): void {
    this.#codes = this.#codes.with(index, code);
  }

  /** Whether a number lies beyond what the training rows held. */
  outside(index: number): boolean {
    const value = this.#numbers[index];
    const feature = this.input.numeric[index];
    if (feature === undefined || value === undefined || value === null) return false;
    // A row's own figure comes back as float32, a hair beyond the float64 range that it set.
    const slack = 1e-6 * Math.max(Math.abs(feature.min), Math.abs(feature.max));
    return value < feature.min - slack || value > feature.max + slack;
  }

  /** Takes over a real row. */
  fill(inputs: ModelInputs): void {
    for (const { name, data } of inputs) {
      if (name === 'numeric') {
        this.#numbers = Array.from(data, Number).map((value) =>
          Number.isNaN(value) ? null : Number(value.toPrecision(7)),
        );
      }
      if (name === 'categorical') this.#codes = Array.from(data, Number);
    }
  }

  /** What the model takes. */
  get inputs(): ModelInputs {
    const numeric = Float32Array.from(this.#numbers, (value) => value ?? NaN);
    const categorical = BigInt64Array.from(this.#codes, BigInt);
    const { length: F } = numeric;
    const { length: C } = categorical;
    return [
      ...(F > 0
        ? [{ name: 'numeric', dtype: 'float32' as const, dims: [1, F], data: numeric }]
        : []),
      ...(C > 0
        ? [{ name: 'categorical', dtype: 'int64' as const, dims: [1, C], data: categorical }]
        : []),
    ];
  }
}
