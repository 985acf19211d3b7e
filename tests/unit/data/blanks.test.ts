import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLANK, BlankRuns } from '../../../src/data/readers/blanks';
import { guessDialect } from '../../../src/data/readers/dialect';
import { READ_LIMITS } from '../../../src/data/readers/limits';
import { parseCells, parseTable } from '../../../src/data/readers/table';
import { Tokenizer } from '../../../src/data/readers/tokenizer';

function rowsOf(pieces: readonly string[]): string[][] {
  const rows: string[][] = [];
  const tokenizer = new Tokenizer(BLANK, READ_LIMITS, (cells) => rows.push(cells));
  for (const piece of pieces) tokenizer.push(piece);
  tokenizer.finish();
  return rows;
}

describe('columns that runs of blanks set apart', () => {
  it('are read with blanks at either end, tabs, quotes, and lines that are blank', () => {
    expect(rowsOf(['  1   2\t"a  ""b"" c"  \r\n\n   \n3 4 ""\n'])).toEqual([
      ['1', '2', 'a  "b" c'],
      ['3', '4', ''],
    ]);
    expect(rowsOf(['it"s 5" 6'])).toEqual([['it"s', '5"', '6']]);
  });

  it('are the same wherever the text is cut', () => {
    const line = fc.array(fc.constantFrom('1', '-2.5', 'abc', '"a b"', '"say ""x""\ty"', '""'), {
      minLength: 1,
      maxLength: 5,
    });
    const gap = fc.constantFrom(' ', '   ', '\t', ' \t ');
    const text = fc
      .array(fc.tuple(line, gap, gap), { minLength: 1, maxLength: 5 })
      .map((lines) => lines.map(([cells, by, ends]) => `${ends}${cells.join(by)}${by}\n`).join(''));
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 6 }), (whole, cuts) => {
        const places = [0, ...cuts.map((cut) => cut % whole.length).sort((a, b) => a - b)];
        const pieces = places.map((from, index) => whole.slice(from, places[index + 1]));
        expect(rowsOf(pieces)).toEqual(rowsOf([whole]));
        const filter = new BlankRuns();
        const collapsed = pieces.map((piece) => filter.push(piece)).join('');
        expect(new BlankRuns().push(collapsed)).toBe(collapsed);
      }),
    );
  });

  it.each([
    ['numbers alone', '-2.3 0.568 4.78 \n-2.3 0.568 3.99 \n'],
    ['a header over them', 'x y z\n1 2 3\n4 5 6\n'],
    [
      'a name in quotes behind a tab',
      '18.0   8   307.0\t"a long name"\n15.0   8   350.0\t"other"\n',
    ],
    ['values that are missing', '1 ? 3\nNA 5 6\n7 8 ?\n'],
    ['decimal commas', '1,5 2,25 4,5\n2,5 3,25 4,1\n'],
  ])('are seen in %s', (_, text) => {
    expect(guessDialect(text, true).delimiter).toBe(BLANK);
  });

  it.each([
    ['sentences', 'text\nThe cat sat down\nThe dog ran off\n', ','],
    ['sentences of one length with a number each', 'He ate 3\nShe had 12\nThey saw 40\n', ','],
    ['two words a line', '1 2\n3 4\n5 6\n', ','],
    ['thousands with blanks', 'mass\n1 000 000\n2 500 000\n', ','],
    ['commas followed by blanks', '1, 2, 3\n4, 5, 6\n', ','],
    ['semicolons around blanks', '1 ; 2 ; 3\n4 ; 5 ; 6\n', ';'],
    ['thousands between tabs', '1 234\t2 345\n3 456\t4 567\n', '\t'],
    ['rows of several widths', '1 2 3\n4 5\n6 7 8\n', ','],
    ['one line alone', '1 2 3\n', ','],
    ['dates with times', '2024-01-02 10:00 1\n2024-01-03 11:00 2\n', ','],
  ])('are not seen in %s', (_, text, delimiter) => {
    expect(guessDialect(text, true).delimiter).toBe(delimiter);
  });

  it('come back with commas, because blanks hold no empty cell', async () => {
    const file = new Blob(['1 2 ""\n3 4 ""\n5 6 7\n']);
    expect(await parseCells(file)).toMatchObject({
      delimiter: ',',
      cells: [
        ['1', '2', ''],
        ['3', '4', ''],
        ['5', '6', '7'],
      ],
    });
  });

  it('name the line that has more of them than the others', async () => {
    const many = '1 2 3\n'.repeat(60_000);
    await expect(parseTable(new Blob([`${many}1 2 3 4\n`]))).rejects.toMatchObject({
      code: 'data/ragged-row',
      message: expect.stringMatching(/^Line 60001, column 4: .*contain blanks/) as unknown,
    });
  });
});
