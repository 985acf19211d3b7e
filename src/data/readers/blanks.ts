/**
 * Tables whose columns are set apart by runs of blanks, as laboratories and old archives write them:
 * `18.0   8   307.0<tab>"chevrolet chevelle malibu"`. Runs become one blank each, those at either end of a line none;
 * then the tokenizer reads them like any other delimiter. Inside quotation marks everything stays as it is.
 */
import { isMissing, parseNumber } from './values';

export const BLANK = ' ';

/** Fed piece by piece; a cut may fall anywhere. */
export class BlankRuns {
  #place: 'line-start' | 'cell-start' | 'cell' | 'quoted' | 'after-quote' = 'line-start';
  /** A run of blanks was passed whose cell has not begun yet. */
  #owing = false;

  push(text: string): string {
    let out = '';
    let kept = 0; // what stands before it is in `out`
    for (let at = 0; at < text.length; at++) {
      const mark = text[at];
      const quote = mark === '"';
      if (this.#place === 'quoted') {
        if (quote) this.#place = 'after-quote';
        continue;
      }
      if (mark === ' ' || mark === '\t') {
        out += text.slice(kept, at);
        kept = at + 1;
        if (this.#place !== 'line-start') {
          this.#owing = true;
          this.#place = 'cell-start';
        }
        continue;
      }
      if (mark === '\n' || mark === '\r') {
        this.#owing = false;
        this.#place = 'line-start';
        continue;
      }
      if (this.#owing) {
        out += text.slice(kept, at) + BLANK;
        kept = at;
        this.#owing = false;
      }
      // A mark opens at the start of a cell, or again where it stands twice.
      this.#place = quote && this.#place !== 'cell' ? 'quoted' : 'cell';
    }
    return out + text.slice(kept);
  }
}

const LEAST_COLUMNS = 3;
const LEAST_ROWS = 2;

/**
 * Whether such rows, split at blanks, are a table beyond doubt: of one width, and most of it numbers. Prose has blanks
 * too, and must stay one column.
 */
export function isBlankTable(rows: readonly (readonly string[])[]): boolean {
  const width = rows[0]?.length ?? 0;
  if (width < LEAST_COLUMNS || rows.length < LEAST_ROWS) return false;
  return rows.every((row) => row.length === width) && mostlyNumbers(rows);
}

/** Of the cells that are not missing, more than half. */
export function mostlyNumbers(rows: readonly (readonly string[])[]): boolean {
  const cells = rows.flat().filter((cell) => !isMissing(cell));
  return cells.filter(isNumber).length > cells.length / 2;
}

export function isNumber(text: string): boolean {
  return !Number.isNaN(parseNumber(text, 'point')) || !Number.isNaN(parseNumber(text, 'comma'));
}
