/**
 * One column while it is read: numbers go into typed chunks, text into codes of a dictionary. A column starts as
 * the sample says; when a later cell disproves it, it stops storing, and `verdict()` tells what to read it as.
 */
import { isMissing, parseNumber, trimmed } from './values';
import type { ColumnGuess } from './dialect';
import type { NumberFormat } from './values';

const FIRST_CHUNK = 1 << 9;
const LARGEST_CHUNK = 1 << 16;

/** Values of a column as they are kept: numbers with NaN for missing, or codes with -1 for missing. */
export type ColumnValues =
  | { readonly storage: 'float64'; readonly values: Float64Array<ArrayBuffer> }
  | {
      readonly storage: 'codes';
      readonly codes: Int32Array<ArrayBuffer>;
      readonly vocabulary: readonly string[];
    };

type Cells = Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** A typed array that grows by chunks: small ones first, because a table may have ten thousand columns. */
class Growing<T extends Cells> {
  readonly #make: (length: number) => T;
  #full: T[] = [];
  #chunk: T;
  #at = 0;
  #length = 0;

  constructor(make: (length: number) => T) {
    this.#make = make;
    this.#chunk = make(0);
  }

  push(value: number): void {
    if (this.#at === this.#chunk.length) {
      if (this.#at > 0) this.#full.push(this.#chunk);
      this.#chunk = this.#make(Math.min(LARGEST_CHUNK, Math.max(FIRST_CHUNK, this.#length)));
      this.#at = 0;
    }
    this.#chunk[this.#at++] = value;
    this.#length++;
  }

  /** All values as one array; what was collected is let go. */
  take(): T {
    const all = this.#make(this.#length);
    let at = 0;
    for (const chunk of [...this.#full, this.#chunk.subarray(0, this.#at)]) {
      all.set(chunk, at);
      at += chunk.length;
    }
    this.#full = [];
    this.#chunk = this.#make(0);
    return all;
  }
}

export class ColumnBuilder {
  readonly name: string;
  readonly #guess: ColumnGuess;
  #missing = 0;
  /** Which notations every cell so far allows. */
  #point = true;
  #comma = true;
  #numbers = new Growing((length) => new Float64Array(length));
  readonly #codes = new Growing((length) => new Int32Array(length));
  readonly #dictionary = new Map<string, number>();
  #characters = 0;

  constructor(name: string, guess: ColumnGuess) {
    this.name = name;
    this.#guess = guess;
  }

  get missing(): number {
    return this.#missing;
  }

  /** Characters of its different texts. */
  get characters(): number {
    return this.#characters;
  }

  push(cell: string): void {
    const text = trimmed(cell);
    if (text === '') {
      this.#missing++;
      if (this.#guess === 'text') this.#codes.push(-1);
      else if (this.#allows(this.#guess)) this.#numbers.push(Number.NaN);
      return;
    }
    if (this.#guess === 'text') {
      const missing = isMissing(text);
      if (missing) this.#missing++;
      this.#codes.push(missing ? -1 : this.#code(text));
      return;
    }
    // Most cells are numbers: the list of missing words is only asked when a cell is not.
    const value = parseNumber(text, this.#guess);
    if (!Number.isNaN(value)) this.#checkOther(text, this.#guess);
    else if (isMissing(text)) this.#missing++;
    else {
      this.#disprove(this.#guess);
      this.#checkOther(text, this.#guess);
    }
    if (this.#allows(this.#guess)) this.#numbers.push(value);
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
      const vocabulary = [...this.#dictionary.keys()];
      return { storage: 'codes', codes: this.#codes.take(), vocabulary };
    }
    return { storage: 'float64', values: this.#numbers.take() };
  }

  #allows(format: NumberFormat): boolean {
    return format === 'point' ? this.#point : this.#comma;
  }

  #disprove(format: NumberFormat): void {
    if (format === 'point') this.#point = false;
    else this.#comma = false;
    this.#numbers = new Growing((length) => new Float64Array(length));
  }

  /** The other notation must be judged over all rows too, in case the guess fails at the last one. */
  #checkOther(text: string, guess: NumberFormat): void {
    const other = guess === 'point' ? 'comma' : 'point';
    if (!this.#allows(other)) return;
    // Without a mark both notations read the same number, or both none.
    if (this.#allows(guess) && !text.includes('.') && !text.includes(',')) return;
    if (Number.isNaN(parseNumber(text, other))) {
      if (other === 'point') this.#point = false;
      else this.#comma = false;
    }
  }

  #code(text: string): number {
    const known = this.#dictionary.get(text);
    if (known !== undefined) return known;
    const code = this.#dictionary.size;
    this.#characters += text.length;
    // A slice keeps the whole megabyte it was cut from alive; this copy keeps only itself.
    this.#dictionary.set(` ${text}`.slice(1), code);
    return code;
  }
}
