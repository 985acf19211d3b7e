/**
 * Writes a table as CSV (RFC 4180). A text cell that a spreadsheet would run as a formula gets an apostrophe before it
 * (OWASP, "CSV injection"); numbers, negative ones too, stay as they are.
 */
const FORMULA = /^[=+\-@\t\r]/;
const NUMBER = /^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$/;

export function writeCsv(
  header: readonly string[],
  rows: Iterable<readonly string[]>,
  delimiter: string,
): string {
  const lines = [line(header, delimiter)];
  for (const row of rows) lines.push(line(row, delimiter));
  return lines.join('\r\n') + '\r\n';
}

function line(cells: readonly string[], delimiter: string): string {
  return cells.map((cell) => quoted(neutralised(cell), delimiter)).join(delimiter);
}

export function neutralised(cell: string): string {
  return FORMULA.test(cell) && !NUMBER.test(cell) ? `'${cell}` : cell;
}

function quoted(cell: string, delimiter: string): string {
  const special =
    cell.includes('"') || cell.includes(delimiter) || cell.includes('\n') || cell.includes('\r');
  return special ? `"${cell.replaceAll('"', '""')}"` : cell;
}
