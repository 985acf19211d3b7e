/** What a file may cost before it is refused: input is hostile until parsed. */
export interface ReadLimits {
  readonly bytes: number;
  readonly columns: number;
  readonly rows: number;
  /** Characters in one cell. */
  readonly cell: number;
  /** Cells of a table: each is kept as a number or a code, and short rows have as many as the header. */
  readonly cells: number;
  /** Cells after which most of them must be in the file, not only missing at the ends of short rows. */
  readonly padding: number;
  /** Characters kept as text: of all different cells of a table, of all cells of a file to predict. */
  readonly text: number;
  /** Cells that are kept as text at once (prediction keeps the whole file). */
  readonly textCells: number;
  readonly milliseconds: number;
}

export const READ_LIMITS: ReadLimits = {
  bytes: 2 * 1024 ** 3,
  columns: 10_000,
  rows: 5_000_000,
  cell: 1_000_000,
  cells: 128 * 1024 ** 2,
  padding: 8 * 1024 ** 2,
  text: 256 * 1024 ** 2,
  textCells: 20_000_000,
  milliseconds: 10 * 60_000,
};
