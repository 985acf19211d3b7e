/**
 * How a file is written, guessed from its first 256 kB: delimiter, header or not, and the number notation that
 * most columns speak. A guess that a later row disproves is corrected by reading again (readers/table.ts).
 */
import { AppError } from '../../core/errors';
import { BLANK, isBlankTable, isNumber, mostlyNumbers } from './blanks';
import { READ_LIMITS } from './limits';
import { Tokenizer } from './tokenizer';
import { isDate, isMissing, parseNumber, trimmed } from './values';
import type { NumberFormat } from './values';

export const DELIMITERS = [',', ';', '\t', '|'] as const;
/** `BLANK`: runs of blanks. */
export type Delimiter = (typeof DELIMITERS)[number] | typeof BLANK;

/** What a column's sampled cells allow. */
export type ColumnGuess = NumberFormat | 'text';

export interface Dialect {
  readonly delimiter: Delimiter;
  /** A first line `sep=;` as spreadsheets write it; it is not data. */
  readonly separatorLine: boolean;
  readonly header: boolean;
  readonly format: NumberFormat;
  readonly names: readonly string[];
  readonly columns: readonly ColumnGuess[];
}

const SAMPLE_ROWS = 2000;
/** Rows times columns that are judged: a wide header over thousands of short rows is not looked at whole. */
const SAMPLE_CELLS = 400_000;

class EnoughRows extends Error {}

/** `whole`: the sample is the entire file, so its last line is complete. */
export function guessDialect(sample: string, whole: boolean): Dialect {
  const separator = /^sep=([,;\t|])\r?\n/.exec(sample);
  const text = separator ? sample.slice(separator[0].length) : sample;
  const named = DELIMITERS.find((delimiter) => delimiter === separator?.[1]);
  const delimiter = named ?? bestDelimiter(text, whole);
  const rows = sampleRows(text, delimiter, whole);
  const [first, ...below] = rows;
  if (first === undefined) throw noRows(text, delimiter, whole);
  const body = below.slice(0, Math.max(20, Math.floor(SAMPLE_CELLS / first.length)));
  const header = hasHeader(first, body);
  const data = header ? body : [first, ...body];
  const width = first.length;
  const format = fileFormat(data, width, delimiter);
  const columns = Array.from({ length: width }, (_, column) => guessColumn(data, column, format));
  const names = header
    ? uniqueNames(first)
    : uniqueNames(first.map((_, index) => `column ${index + 1}`));
  return { delimiter, separatorLine: separator !== null, header, format, names, columns };
}

function sampleRows(text: string, delimiter: string, whole: boolean): string[][] {
  const rows: string[][] = [];
  const tokenizer = new Tokenizer(delimiter, READ_LIMITS, (cells) => {
    rows.push(cells.map(trimmed));
    if (rows.length >= SAMPLE_ROWS) throw new EnoughRows();
  });
  try {
    tokenizer.push(text);
    if (whole) tokenizer.finish();
  } catch (error) {
    // A wrong delimiter may trip over a quote; the full read reports what is really wrong.
    if (!(error instanceof EnoughRows) && !(error instanceof AppError)) throw error;
  }
  return rows;
}

/** Why not even one row could be read. */
function noRows(text: string, delimiter: string, whole: boolean): AppError {
  try {
    const tokenizer = new Tokenizer(delimiter, READ_LIMITS, () => undefined);
    tokenizer.push(text);
    if (whole) tokenizer.finish();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  if (whole) {
    return new AppError('data/empty', 'The file is blank. Choose a file with a header and rows.');
  }
  return new AppError(
    'data/line-too-long',
    'Line 1 does not end within the first 256 kB. Check that the file is a table with one row a line.',
    { line: 1 },
  );
}

/** The delimiter under which most rows have the same number of cells, more than one; ties go to more cells. */
function bestDelimiter(text: string, whole: boolean): Delimiter {
  let best: Delimiter = ',';
  let bestScore = 0;
  for (const delimiter of DELIMITERS) {
    const rows = sampleRows(text, delimiter, whole);
    const counts = new Map<number, number>();
    for (const row of rows) counts.set(row.length, (counts.get(row.length) ?? 0) + 1);
    for (const [width, count] of counts) {
      if (width < 2) continue;
      const share = count / rows.length;
      const score = share * share * (1 + Math.min(width, 100) / 1000);
      if (score > bestScore) {
        bestScore = score;
        best = delimiter;
      }
    }
  }
  return separatedByBlanks(text, best, whole) ? BLANK : best;
}

/** Only where no mark between cells makes numbers of it, and blanks do. */
function separatedByBlanks(text: string, best: Delimiter, whole: boolean): boolean {
  const blank = sampleRows(text, BLANK, whole);
  return isBlankTable(blank) && !mostlyNumbers(sampleRows(text, best, whole));
}

/** Text over numbers is a header; a number over numbers, or a text that comes again below, is a row. */
function hasHeader(first: readonly string[], body: readonly (readonly string[])[]): boolean {
  let score = 0;
  let numbers = 0;
  first.forEach((cell, column) => {
    const below = body
      .slice(0, 200)
      .map((row) => row[column] ?? '')
      .filter((text) => !isMissing(text));
    const mostlyNumbers = below.length > 0 && below.filter(isNumber).length > below.length / 2;
    const mostlyDates = below.length > 0 && below.filter(isDate).length > below.length / 2;
    const year = /^(19|20)\d\d$/.test(cell);
    if (isNumber(cell)) {
      numbers++;
      // Years head columns in many official tables.
      if (!year || below.some((text) => /^(19|20)\d\d$/.test(text)))
        score -= mostlyNumbers ? 1 : 0.5;
    } else if (isDate(cell)) {
      score -= 1;
    } else if (!isMissing(cell)) {
      if (mostlyNumbers || mostlyDates) score += 1;
      else if (below.includes(cell)) score -= 1;
    }
  });
  return score > 0 || (score === 0 && numbers < first.length);
}

/**
 * The notation that more columns can only be read in. `605,779` alone can be either; a semicolon between cells then
 * says that the comma was needed elsewhere: in the numbers.
 */
function fileFormat(
  rows: readonly (readonly string[])[],
  width: number,
  delimiter: Delimiter,
): NumberFormat {
  let votes = 0;
  let ambiguous = false;
  for (let column = 0; column < width; column++) {
    const point = fits(rows, column, 'point');
    const comma = fits(rows, column, 'comma');
    if (comma && !point) votes++;
    if (point && !comma) votes--;
    if (point && comma && !ambiguous) ambiguous = rows.some((row) => row[column]?.includes(','));
  }
  return votes > 0 || (votes === 0 && ambiguous && delimiter === ';') ? 'comma' : 'point';
}

function fits(rows: readonly (readonly string[])[], column: number, format: NumberFormat): boolean {
  return rows.every((row) => {
    const cell = row[column] ?? '';
    return isMissing(cell) || !Number.isNaN(parseNumber(cell, format));
  });
}

function guessColumn(
  rows: readonly (readonly string[])[],
  column: number,
  format: NumberFormat,
): ColumnGuess {
  if (fits(rows, column, format)) return format;
  const other = format === 'point' ? 'comma' : 'point';
  return fits(rows, column, other) ? other : 'text';
}

/** Questionnaires put whole questions over their columns; what is longer is a row of text. */
const LONGEST_NAME = 500;

/** Empty names become `column 3`, repeated ones `name (2)`, very long ones are cut. */
export function uniqueNames(cells: readonly string[]): string[] {
  const taken = new Set<string>();
  // Copies below these are taken: ten thousand equal names must not try them all again for each.
  const copies = new Map<string, number>();
  return cells.map((cell, index) => {
    const given = cell.trim();
    const short = given.length > LONGEST_NAME ? `${given.slice(0, LONGEST_NAME)}…` : given;
    const wanted = short === '' ? `column ${index + 1}` : short;
    let copy = copies.get(wanted) ?? 2;
    let name = wanted;
    for (; taken.has(name); copy++) name = `${wanted} (${copy})`;
    copies.set(wanted, copy);
    taken.add(name);
    return name;
  });
}
