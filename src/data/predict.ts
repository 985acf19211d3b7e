/** A person's file for prediction: its own text kept, and the columns that the recipe names as raw model inputs. */
import { AppError } from '../core/errors';
import { listed } from './dataset';
import { isMissing, parseNumber } from './readers/values';
import { MISSING_CODE, OTHER_CODE, codeOf } from './recipe/encode';
import { RAW_INPUTS } from './recipe/compile';
import type { PredictionTable } from '../protocol/api';
import type { FittedRecipe } from '../protocol/entities';
import type { ParsedCells } from './readers/table';
import type { RawInputs } from './recipe/encode';

export function predictionTable(parsed: ParsedCells, recipe: FittedRecipe): PredictionTable {
  const { input } = recipe;
  if (input.type !== 'table') {
    throw new AppError(
      'data/does-not-fit',
      'This model takes pictures, not a table. Choose a model that was trained on a table.',
    );
  }
  const place = columnPlaces(parsed.header, [...input.numeric, ...input.categorical]);
  const { cells } = parsed;
  const findings: string[] = [];
  const inputs: RawInputs[number][] = [];
  if (input.numeric.length > 0) {
    const width = input.numeric.length;
    const data = new Float32Array(cells.length * width);
    const places = input.numeric.map(({ column }) => place.get(column) ?? 0);
    readNumbers(cells, places).forEach(({ texts, values }, position) => {
      values.forEach((value, row) => (data[row * width + position] = value));
      findings.push(...strangeCells(input.numeric[position]?.column ?? '', texts, values));
    });
    const dims = [cells.length, width];
    inputs.push({ name: RAW_INPUTS.numeric, dtype: 'float32', dims, data });
  }
  if (input.categorical.length > 0) {
    const width = input.categorical.length;
    const data = new BigInt64Array(cells.length * width);
    input.categorical.forEach((feature, position) => {
      const known = codeOf(feature);
      const at = place.get(feature.column) ?? 0;
      const unknown = new Set<string>();
      cells.forEach((row, index) => {
        const text = (row[at] ?? '').trim();
        const code = isMissing(text) ? MISSING_CODE : (known.get(text) ?? OTHER_CODE);
        if (code === OTHER_CODE) unknown.add(text);
        data[index * width + position] = BigInt(code);
      });
      if (unknown.size > 0) {
        findings.push(
          `"${feature.column}": ${listed([...unknown], 3)} did not occur in training and ${unknown.size === 1 ? 'counts' : 'count'} as "other".`,
        );
      }
    });
    const dims = [cells.length, width];
    inputs.push({ name: RAW_INPUTS.categorical, dtype: 'int64', dims, data });
  }
  return {
    header: parsed.header,
    cells,
    delimiter: parsed.delimiter,
    findings,
    inputs,
    rows: Uint32Array.from(cells, (_, row) => row),
  };
}

/** Where each needed column stands: by its exact name, else by the same name in other capitals. */
function columnPlaces(
  header: readonly string[],
  needed: readonly { readonly column: string }[],
): Map<string, number> {
  const places = new Map<string, number>();
  const absent: string[] = [];
  const folded = header.map((name) => name.toLowerCase());
  for (const { column } of needed) {
    const exact = header.indexOf(column);
    const at = exact >= 0 ? exact : folded.indexOf(column.toLowerCase());
    if (at >= 0) places.set(column, at);
    else absent.push(column);
  }
  if (absent.length > 0) {
    throw new AppError(
      'data/missing-columns',
      `The file has no column ${listed(absent)}, which the model needs. Its columns are ${listed(header)}. Add or rename ${absent.length === 1 ? 'it' : 'them'}.`,
      { missing: absent },
    );
  }
  return places;
}

interface NumericReading {
  readonly texts: readonly string[];
  readonly point: Float64Array;
  readonly comma: Float64Array;
}

/**
 * The numeric columns, each in the notation under which more of its cells are numbers. `1.234` is a number in both:
 * then the notation decides that the other columns of the file speak.
 */
function readNumbers(
  cells: readonly (readonly string[])[],
  places: readonly number[],
): readonly { readonly texts: readonly string[]; readonly values: Float64Array }[] {
  const readings = places.map((at): NumericReading => {
    const texts = cells.map((row) => (row[at] ?? '').trim());
    const point = Float64Array.from(texts, (text) => parseNumber(text, 'point'));
    const comma = Float64Array.from(texts, (text) => parseNumber(text, 'comma'));
    return { texts, point, comma };
  });
  const lead = ({ point, comma }: NumericReading): number =>
    countNumbers(comma) - countNumbers(point);
  const file = readings.reduce((sum, reading) => sum + Math.sign(lead(reading)), 0);
  return readings.map((reading) => ({
    texts: reading.texts,
    values: (lead(reading) || file) > 0 ? reading.comma : reading.point,
  }));
}

/** Cells that are neither numbers nor missing count as missing, and that is said. */
function strangeCells(column: string, texts: readonly string[], values: Float64Array): string[] {
  const strange = texts.filter((text, row) => Number.isNaN(values[row]) && !isMissing(text));
  if (strange.length === 0) return [];
  const one = strange.length === 1;
  const shown = listed([...new Set(strange)], 3);
  return [
    `"${column}": ${strange.length} ${one ? 'cell is' : 'cells are'} not a number (${shown}) and ${one ? 'counts' : 'count'} as missing.`,
  ];
}

function countNumbers(values: Float64Array): number {
  return values.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : 1), 0);
}
