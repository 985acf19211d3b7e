/** What a file may cost before it is refused: input is hostile until parsed. */
export interface ReadLimits {
  readonly bytes: number;
  readonly columns: number;
  readonly rows: number;
  /** Characters in one cell. */
  readonly cell: number;
  /** Cells that are kept as text at once (prediction keeps the whole file). */
  readonly textCells: number;
  readonly milliseconds: number;
}

export const READ_LIMITS: ReadLimits = {
  bytes: 2 * 1024 ** 3,
  columns: 10_000,
  rows: 5_000_000,
  cell: 1_000_000,
  textCells: 20_000_000,
  milliseconds: 10 * 60_000,
};
