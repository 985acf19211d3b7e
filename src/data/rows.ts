/** A window of rows as shown text, and pictures: the Rows tab. */
import { AppError } from '../core/errors';
import { GROUP_COLUMN, IMAGE_TARGET } from './dataset';
import type { ImageItem, RowPage, RowQuery } from '../protocol/api';
import type { Column, Dataset, ImageData } from './dataset';

const MOST_ROWS = 500;

export async function readRows(dataset: Dataset, query: RowQuery): Promise<RowPage> {
  const limit = Math.max(0, Math.min(query.limit, MOST_ROWS));
  if (dataset.type === 'images') {
    const { classes, rows } = dataset.manifest;
    const label = (row: number): string => classes[dataset.labels[row] ?? 0] ?? '';
    const { groups } = dataset;
    const group = (row: number): string => groups?.names[groups.codes[row] ?? 0] ?? '';
    const filtered = query.filter?.column === GROUP_COLUMN ? group : label;
    const keep = (row: number): boolean => query.filter?.values?.includes(filtered(row)) ?? true;
    const chosen = select(rows, query, limit, keep);
    const cells = (row: number): string[] => (groups ? [label(row), group(row)] : [label(row)]);
    const shown = chosen.rows.map((row) => ({ row, cells: cells(row) }));
    const columns = groups ? [IMAGE_TARGET, GROUP_COLUMN] : [IMAGE_TARGET];
    return { total: chosen.total, columns, rows: shown };
  }
  const names = dataset.manifest.columns.map((column) => column.name);
  const { filter } = query;
  const keep = filter ? test(await dataset.column(filter.column), filter) : () => true;
  const chosen = select(dataset.manifest.rows, query, limit, keep);
  const columns = await Promise.all(names.map((name) => dataset.column(name)));
  const rows = chosen.rows.map((row) => ({
    row,
    cells: columns.map((column) => cellText(column, row)),
  }));
  return { total: chosen.total, columns: names, rows };
}

function select(
  rows: number,
  query: RowQuery,
  limit: number,
  keep: (row: number) => boolean,
): { total: number; rows: number[] } {
  let total = 0;
  const chosen: number[] = [];
  const visit = (row: number): void => {
    if (!Number.isInteger(row) || row < 0 || row >= rows || !keep(row)) return;
    if (total >= query.offset && chosen.length < limit) chosen.push(row);
    total++;
  };
  if (query.rows) query.rows.forEach(visit);
  else for (let row = 0; row < rows; row++) visit(row);
  return { total, rows: chosen };
}

/** Bounds are inclusive, as a brushed bar's ends are. */
function test(column: Column, filter: NonNullable<RowQuery['filter']>): (row: number) => boolean {
  const { low = -Infinity, high = Infinity, values } = filter;
  if (values) {
    const wanted = new Set(values);
    return (row) => wanted.has(cellText(column, row));
  }
  if (column.storage === 'codes') return () => true;
  return (row) => {
    const value = column.values[row] ?? Number.NaN;
    return value >= low && value <= high;
  };
}

export function cellText(column: Column, row: number): string {
  if (column.storage === 'codes') return column.vocabulary[column.codes[row] ?? -1] ?? '';
  const value = column.values[row] ?? Number.NaN;
  return Number.isNaN(value) ? '' : String(value);
}

export function readImages(dataset: Dataset, rows: readonly number[]): ImageItem[] {
  if (dataset.type !== 'images') {
    throw new AppError(
      'data/not-images',
      `"${dataset.manifest.name}" is a table, without pictures.`,
    );
  }
  return rows.slice(0, MOST_ROWS).map((row) => image(dataset, row));
}

function image(data: ImageData, row: number): ImageItem {
  const { channels, height, width, classes, rows } = data.manifest;
  if (!Number.isInteger(row) || row < 0 || row >= rows) {
    throw new AppError('data/no-such-row', `There is no picture ${row}; the last is ${rows - 1}.`, {
      row,
    });
  }
  const size = channels * height * width;
  const pixels = data.pixels.slice(row * size, (row + 1) * size);
  const label = classes[data.labels[row] ?? 0] ?? '';
  const group = data.groups?.names[data.groups.codes[row] ?? 0];
  return { row, label, pixels, channels, height, width, ...(group !== undefined && { group }) };
}
