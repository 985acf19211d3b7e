/**
 * One column while it is read: numbers go into typed chunks, text into codes of a dictionary. A column starts as
 * the sample says; when a later cell disproves it, it stops storing, and `verdict()` tells what to read it as.
 */
import { isMissing, parseNumber, trimmed } from './values';
import type { ColumnGuess } from './dialect';
import type { NumberFormat } from './values';

const CHUNK = 1 << 16;

/** Values of a column as they are kept: numbers with NaN for missing, or codes with -1 for missing. */
export type ColumnValues =
  | { readonly storage: 'float64'; readonly values: Float64Array<ArrayBuffer> }
  | {
      readonly storage: 'codes';
      readonly codes: Int32Array<ArrayBuffer>;
      readonly vocabulary: readonly string[];
    };

export class ColumnBuilder {
  readonly name: string;
  readonly #guess: ColumnGuess;
  #missing = 0;
  #rows = 0;
  /** Which notations every cell so far allows. */
  #point = true;
  #comma = true;
  #numbers: Float64Array<ArrayBuffer>[] = [];
  #codes: Int32Array<ArrayBuffer>[] = [];
  readonly #dictionary = new Map<string, number>();

  constructor(name: string, guess: ColumnGuess) {
    this.name = name;
    this.#guess = guess;
  }

  get missing(): number {
    return this.#missing;
  }

  push(cell: string): void {
    const text = trimmed(cell);
    const offset = this.#rows & (CHUNK - 1);
    this.#rows++;
    const missing = isMissing(text);
    if (missing) this.#missing++;
    if (this.#guess === 'text') {
      if (offset === 0) this.#codes.push(new Int32Array(CHUNK));
      const chunk = this.#codes.at(-1);
      if (chunk) chunk[offset] = missing ? -1 : this.#code(text);
      return;
    }
    const value = missing ? Number.NaN : parseNumber(text, this.#guess);
    if (!missing && Number.isNaN(value)) this.#disprove(this.#guess);
    if (!missing) this.#checkOther(text);
    if (!this.#allows(this.#guess)) return;
    if (offset === 0) this.#numbers.push(new Float64Array(CHUNK));
    const chunk = this.#numbers.at(-1);
    if (chunk) chunk[offset] = value;
  }

  /** What the column has to be read as, now that all rows were seen; equal to the guess when it held. */
  verdict(): ColumnGuess {
    if (this.#guess === 'text' || this.#allows(this.#guess)) return this.#guess;
    const other = this.#guess === 'point' ? 'comma' : 'point';
    return this.#allows(other) ? other : 'text';
  }

  /** Joins the chunks; the builder is spent. */
  finish(): ColumnValues {
    if (this.#guess === 'text') {
      const codes = new Int32Array(this.#rows);
      this.#codes.forEach((chunk, index) =>
        codes.set(chunk.subarray(0, this.#rows - index * CHUNK), index * CHUNK),
      );
      this.#codes = [];
      return { storage: 'codes', codes, vocabulary: [...this.#dictionary.keys()] };
    }
    const values = new Float64Array(this.#rows);
    this.#numbers.forEach((chunk, index) =>
      values.set(chunk.subarray(0, this.#rows - index * CHUNK), index * CHUNK),
    );
    this.#numbers = [];
    return { storage: 'float64', values };
  }

  #allows(format: NumberFormat): boolean {
    return format === 'point' ? this.#point : this.#comma;
  }

  #disprove(format: NumberFormat): void {
    if (format === 'point') this.#point = false;
    else this.#comma = false;
    this.#numbers = [];
  }

  /** The other notation must be judged over all rows too, in case the guess fails at the last one. */
  #checkOther(text: string): void {
    const other = this.#guess === 'point' ? 'comma' : 'point';
    if (!this.#allows(other) || /^-?\d+$/.test(text)) return;
    if (Number.isNaN(parseNumber(text, other))) {
      if (other === 'point') this.#point = false;
      else this.#comma = false;
    }
  }

  #code(text: string): number {
    const known = this.#dictionary.get(text);
    if (known !== undefined) return known;
    const code = this.#dictionary.size;
    // A slice keeps the whole megabyte it was cut from alive; this copy keeps only itself.
    this.#dictionary.set(` ${text}`.slice(1), code);
    return code;
  }
}
