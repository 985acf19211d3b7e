/**
 * Splits decoded text into rows of cells (RFC 4180, leniently): quotes and line breaks inside quoted cells, `\n`,
 * `\r\n` and `\r`, blank lines skipped. It is fed piece by piece and keeps nothing but the row under way.
 * Ours rather than a library's because a cut may fall anywhere, and because an error must name its line.
 */
import { AppError } from '../../core/errors';
import { BLANK, BlankRuns } from './blanks';
import type { ReadLimits } from './limits';

const QUOTE = 34;
const LINE_FEED = 10;
const RETURN = 13;

/** `line` is where the row begins, counted from 1. */
export type OnRow = (cells: string[], line: number) => void;

export class Tokenizer {
  readonly #delimiter: number;
  /** Where runs of blanks are the delimiter. */
  readonly #blanks: BlankRuns | null;
  readonly #limits: Pick<ReadLimits, 'cell' | 'columns'>;
  readonly #onRow: OnRow;
  #mode: 'start' | 'plain' | 'quoted' | 'after-quote' = 'start';
  #cell = '';
  #cells: string[] = [];
  #line: number;
  #rowLine: number;
  #quoteLine = 1;
  /** The row holds a quoted cell, so it is not a blank line even when that cell is empty. */
  #sawQuote = false;
  #skipLineFeed = false;

  constructor(
    delimiter: string,
    limits: Pick<ReadLimits, 'cell' | 'columns'>,
    onRow: OnRow,
    firstLine = 1,
  ) {
    this.#delimiter = delimiter.charCodeAt(0);
    this.#blanks = delimiter === BLANK ? new BlankRuns() : null;
    this.#limits = limits;
    this.#onRow = onRow;
    this.#line = firstLine;
    this.#rowLine = firstLine;
  }

  push(piece: string): void {
    const text = this.#blanks?.push(piece) ?? piece;
    const length = text.length;
    let at = 0;
    while (at < length) {
      if (this.#mode === 'quoted') {
        const quote = text.indexOf('"', at);
        const end = quote < 0 ? length : quote;
        this.#countLines(text, at, end);
        this.#append(text.slice(at, end));
        if (quote >= 0) this.#mode = 'after-quote';
        at = end + 1;
        continue;
      }
      const code = text.charCodeAt(at);
      if (this.#mode === 'after-quote') {
        if (code === QUOTE) {
          this.#append('"');
          this.#mode = 'quoted';
          at++;
          continue;
        }
        this.#mode = 'plain';
      }
      if (this.#skipLineFeed) {
        this.#skipLineFeed = false;
        if (code === LINE_FEED) {
          at++;
          continue;
        }
      }
      if (this.#mode === 'start' && code === QUOTE) {
        this.#mode = 'quoted';
        this.#quoteLine = this.#line;
        this.#sawQuote = true;
        at++;
        continue;
      }
      at = this.#plain(text, at);
    }
  }

  /** The end of the file. Throws where a quotation mark is still open. */
  finish(): void {
    if (this.#mode === 'quoted') throw this.#unclosed();
    if (this.#cells.length > 0 || this.#cell !== '' || this.#sawQuote) this.#endRow();
  }

  /** Reads from `at` to the end of the cell or of the text; returns where to go on. */
  #plain(text: string, at: number): number {
    const delimiter = this.#delimiter;
    const length = text.length;
    let end = at;
    let code = -1;
    for (; end < length; end++) {
      code = text.charCodeAt(end);
      if (code === delimiter || code === LINE_FEED || code === RETURN) break;
    }
    if (end > at) this.#append(text.slice(at, end));
    if (end === length) {
      this.#mode = 'plain';
      return end;
    }
    if (code === delimiter) {
      this.#endCell();
    } else {
      this.#skipLineFeed = code === RETURN;
      this.#endRow();
      this.#line++;
      this.#rowLine = this.#line;
    }
    return end + 1;
  }

  #append(text: string): void {
    this.#cell = this.#cell === '' ? text : this.#cell + text;
    if (this.#cell.length > this.#limits.cell) {
      if (this.#mode === 'quoted') throw this.#unclosed();
      throw new AppError(
        'data/cell-too-large',
        `Line ${this.#line}, column ${this.#cells.length + 1}: the cell has more than ${this.#limits.cell} characters. Shorten it or leave the column out.`,
        { line: this.#line, column: this.#cells.length + 1 },
      );
    }
  }

  #endCell(): void {
    this.#cells.push(this.#cell);
    this.#cell = '';
    this.#mode = 'start';
    if (this.#cells.length > this.#limits.columns) {
      throw new AppError(
        'data/too-many-columns',
        `Line ${this.#rowLine} has more than ${this.#limits.columns} columns. Leave out those that the question does not need.`,
        { line: this.#rowLine, limit: this.#limits.columns },
      );
    }
  }

  #endRow(): void {
    this.#endCell();
    const cells = this.#cells;
    const blank = cells.length === 1 && cells[0] === '' && !this.#sawQuote;
    this.#cells = [];
    this.#sawQuote = false;
    if (!blank) this.#onRow(cells, this.#rowLine);
  }

  #countLines(text: string, from: number, to: number): void {
    // Never beyond `to`: a cell of doubled quotes comes here for every second character.
    for (let at = from; at < to; at++) if (text.charCodeAt(at) === LINE_FEED) this.#line++;
  }

  #unclosed(): AppError {
    const column = this.#cells.length + 1;
    return new AppError(
      'data/unclosed-quote',
      `Line ${this.#quoteLine}, column ${column}: a quotation mark opens here and is never closed. Close it, or double it ("") where it is part of the text.`,
      { line: this.#quoteLine, column },
    );
  }
}
