/**
 * Reads a delimited text file in one streaming pass, or two when the first proves a guess wrong (an encoding, or a
 * column that is numeric for a hundred thousand rows and then is not). Runs in the disposable parse worker.
 */
import { AppError, invariant } from '../../core/errors';
import { columnFacts } from '../kinds';
import { BLANK } from './blanks';
import { ColumnBuilder } from './columns';
import { guessDialect } from './dialect';
import { READ_LIMITS } from './limits';
import { NotUtf8, SAMPLE_BYTES, decodedPieces, inspectSource, sampleText } from './source';
import { Tokenizer } from './tokenizer';
import { parseNumber } from './values';
import type { OnProgress } from '../../protocol/api';
import type { ColumnFacts } from '../kinds';
import type { ColumnValues } from './columns';
import type { ColumnGuess, Dialect } from './dialect';
import type { ReadLimits } from './limits';
import type { Encoding } from './source';

export type ParsedColumn = ColumnValues &
  ColumnFacts & { readonly name: string; readonly missing: number };

export interface ParsedTable {
  readonly rows: number;
  readonly columns: readonly ParsedColumn[];
  /** What was understood, in words: `;` · decimal comma · windows-1252. */
  readonly understood: readonly string[];
}

/** A file as its own text, for a person who wants it back with a prediction beside each row. */
export interface ParsedCells {
  readonly header: readonly string[];
  readonly cells: readonly (readonly string[])[];
  readonly delimiter: string;
}

/** What the parse worker offers. */
export interface ParserApi {
  parseTable(file: Blob, onProgress: OnProgress): Promise<ParsedTable>;
  parseCells(file: Blob, onProgress: OnProgress): Promise<ParsedCells>;
}

export async function parseTable(
  file: Blob,
  onProgress: OnProgress = () => undefined,
  limits: ReadLimits = READ_LIMITS,
): Promise<ParsedTable> {
  return withEncoding(file, limits, async (encoding) => {
    const dialect = await fileDialect(file, encoding);
    let plan = dialect.columns;
    let short = 0;
    let rows = 0;
    const readAll = async (): Promise<ColumnBuilder[]> => {
      const columns = dialect.names.map(
        (name, index) => new ColumnBuilder(name, plan[index] ?? 'text'),
      );
      short = 0;
      const most = Math.floor(limits.cells / columns.length);
      let read = 0;
      let text = 0;
      let given = 0;
      rows = await streamRows(file, encoding, dialect, limits, onProgress, (cells, line) => {
        if (++read > most) throw tooManyCellsInAll(line, most, columns.length);
        if (cells.length < columns.length) short++;
        given += cells.length;
        if (read * columns.length > limits.padding && read * columns.length > 5 * given) {
          throw tooShort(line, columns.length, Math.round(given / read));
        }
        for (let index = 0; index < columns.length; index++) {
          const column = columns[index];
          if (column === undefined) continue;
          const before = column.characters;
          column.push(cells[index] ?? '');
          text += column.characters - before;
        }
        if (text > limits.text) throw tooMuchText(line, limits);
      });
      return columns;
    };
    let columns = await readAll();
    const verdict = columns.map((column) => column.verdict());
    if (verdict.some((guess, index) => guess !== plan[index])) {
      plan = verdict;
      columns = await readAll();
    }
    onProgress({ label: 'Looking at each column' });
    const parsed = columns.map((column): ParsedColumn => {
      const values = column.finish();
      return {
        name: column.name,
        missing: column.missing,
        ...values,
        ...columnFacts(column.name, values, column.missing),
      };
    });
    return {
      rows,
      columns: parsed,
      understood: [...describe(dialect, plan, encoding, short), ...parsed.flatMap(strayTexts)],
    };
  });
}

export async function parseCells(
  file: Blob,
  onProgress: OnProgress = () => undefined,
  limits: ReadLimits = READ_LIMITS,
): Promise<ParsedCells> {
  return withEncoding(file, limits, async (encoding) => {
    const dialect = await fileDialect(file, encoding);
    const width = dialect.names.length;
    const cells: string[][] = [];
    let text = 0;
    await streamRows(file, encoding, dialect, limits, onProgress, (row, line) => {
      if ((cells.length + 1) * width > limits.textCells) {
        throw new AppError(
          'data/too-many-rows',
          `Line ${line}: the file has more than ${limits.textCells} cells. Split it and predict the parts.`,
          { line, limit: limits.textCells },
        );
      }
      for (const cell of row) text += cell.length;
      if (text > limits.text) throw tooMuchText(line, limits);
      while (row.length < width) row.push('');
      cells.push(row);
    });
    // Runs of blanks cannot hold an empty cell.
    const delimiter = dialect.delimiter === BLANK ? ',' : dialect.delimiter;
    return { header: dialect.names, cells, delimiter };
  });
}

/** Every buffer of a parsed table, to be transferred. */
export function buffersOf(table: ParsedTable): ArrayBuffer[] {
  return table.columns.map((column) =>
    column.storage === 'float64' ? column.values.buffer : column.codes.buffer,
  );
}

async function withEncoding<T>(
  file: Blob,
  limits: ReadLimits,
  read: (encoding: Encoding) => Promise<T>,
): Promise<T> {
  const { encoding, bom } = await inspectSource(file, limits);
  try {
    return await read(encoding);
  } catch (error) {
    if (!(error instanceof NotUtf8)) throw error;
    if (bom) {
      throw new AppError(
        'data/encoding',
        'The file says that it is UTF-8 but holds bytes that are not. Save it again as CSV, encoded as UTF-8.',
      );
    }
    return read('windows-1252');
  }
}

async function fileDialect(file: Blob, encoding: Encoding): Promise<Dialect> {
  const whole = file.size <= SAMPLE_BYTES;
  return guessDialect(await sampleText(file, encoding), whole);
}

/** Calls `onRow` for each data row and returns their number; refuses rows wider than the header. */
async function streamRows(
  file: Blob,
  encoding: Encoding,
  dialect: Dialect,
  limits: ReadLimits,
  onProgress: OnProgress,
  onRow: (cells: string[], line: number) => void,
): Promise<number> {
  const width = dialect.names.length;
  const started = Date.now();
  const firstLine = dialect.separatorLine ? 2 : 1;
  let rows = 0;
  let skip = dialect.header ? 1 : 0;
  const tokenizer = new Tokenizer(
    dialect.delimiter,
    limits,
    (cells, line) => {
      if (skip > 0) {
        skip--;
        return;
      }
      while (cells.length > width && (cells.at(-1) ?? '').trim() === '') cells.pop();
      if (cells.length > width) throw tooManyCells(cells, width, line, dialect);
      rows++;
      if (rows > limits.rows) {
        throw new AppError(
          'data/too-many-rows',
          `The file has more than ${limits.rows} rows. Take a sample of them.`,
          { limit: limits.rows },
        );
      }
      onRow(cells, line);
    },
    firstLine,
  );
  let dropSeparatorLine = dialect.separatorLine;
  const report = (done: number): void => {
    onProgress({ label: 'Reading the table', done, total: file.size, unit: 'bytes' });
  };
  for await (const piece of decodedPieces(file, encoding, report)) {
    tokenizer.push(dropSeparatorLine ? piece.slice(piece.indexOf('\n') + 1) : piece);
    dropSeparatorLine = false;
    if (Date.now() - started > limits.milliseconds) {
      throw new AppError(
        'data/too-slow',
        `Reading took longer than ${Math.round(limits.milliseconds / 60_000)} minutes. Take a sample of the rows.`,
      );
    }
  }
  tokenizer.finish();
  if (rows === 0) {
    throw new AppError(
      'data/no-rows',
      'The file has a header and no rows below it. Choose a file with rows.',
    );
  }
  return rows;
}

function tooManyCellsInAll(line: number, most: number, columns: number): AppError {
  return new AppError(
    'data/too-many-rows',
    `Line ${line}: a table with ${columns} columns can have ${most} rows here, because all of it is held in memory. Leave out columns, or take a sample of the rows.`,
    { line, limit: most, columns },
  );
}

function tooShort(line: number, columns: number, mean: number): AppError {
  return new AppError(
    'data/short-rows',
    `Up to line ${line} the header has ${columns} columns and the rows ${mean} cells on average. Check that all rows are written with the same delimiter as the header.`,
    { line, columns, mean },
  );
}

function tooMuchText(line: number, { text }: ReadLimits): AppError {
  return new AppError(
    'data/too-much-text',
    `Line ${line}: up to here the table holds more than ${Math.round(text / 1e6)} million characters of different text. Leave out columns of long text, or take a sample of the rows.`,
    { line, limit: text },
  );
}

function tooManyCells(
  cells: readonly string[],
  width: number,
  line: number,
  dialect: Dialect,
): AppError {
  const extra = cells[width] ?? '';
  invariant(cells.length > width, 'Only a row with too many cells is refused.');
  const mark = MARKS[dialect.delimiter] ?? `"${dialect.delimiter}"`;
  return new AppError(
    'data/ragged-row',
    `Line ${line}, column ${width + 1}: the row has ${cells.length} cells and the header ${width}. Put quotation marks around cells that contain ${mark}, or remove "${extra.slice(0, 40)}".`,
    { line, column: width + 1, expected: width, found: cells.length },
  );
}

/** Delimiters that cannot be seen: in a sentence, and in the line that says what was understood. */
const MARKS: Readonly<Record<string, string>> = { '\t': 'a tab', [BLANK]: 'blanks' };
const WORDS: Readonly<Record<string, string>> = { '\t': 'tab', [BLANK]: 'blanks' };

function describe(
  dialect: Dialect,
  plan: readonly ColumnGuess[],
  encoding: Encoding,
  short: number,
): string[] {
  const words: string[] = [];
  if (dialect.names.length > 1) words.push(WORDS[dialect.delimiter] ?? dialect.delimiter);
  if (plan.includes('comma') && dialect.format === 'comma') words.push('decimal comma');
  words.push(encoding === 'utf-8' ? 'UTF-8' : encoding.startsWith('utf-16') ? 'UTF-16' : encoding);
  if (!dialect.header) words.push('no header: columns were numbered');
  if (short > 0) {
    words.push(
      `${short} ${short === 1 ? 'row was' : 'rows were'} shorter: the rest counts as missing`,
    );
  }
  return words;
}

/** A column of numbers that a few words turned into text: worth saying, because clearing them brings it back. */
function strayTexts(column: ParsedColumn): string[] {
  if (column.storage !== 'codes' || column.vocabulary.length < 10) return [];
  const strays = column.vocabulary.filter(
    (text) => Number.isNaN(parseNumber(text, 'point')) && Number.isNaN(parseNumber(text, 'comma')),
  );
  if (strays.length === 0 || strays.length > column.vocabulary.length / 10) return [];
  const shown = strays.slice(0, 3).map((text) => `"${text.slice(0, 30)}"`);
  return [
    `"${column.name}" is text, because not all of it is numbers (${shown.join(', ')}): empty those cells to use it as numbers`,
  ];
}
