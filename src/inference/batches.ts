/** Rows of raw model inputs, cut into batches or gathered in another order, without copying where possible. */
import { AppError } from '../core/errors';
import type { ModelInput } from './runtime';

export function rowsOf(inputs: readonly ModelInput[]): number {
  const [first] = inputs;
  const rows = first?.dims[0] ?? 0;
  if (inputs.some(({ dims }) => dims[0] !== rows)) {
    throw new AppError(
      'model/ragged-inputs',
      `The inputs have different numbers of rows: ${inputs.map(({ name, dims }) => `${name} ${dims[0] ?? 0}`).join(', ')}. Give every input the same rows.`,
      { inputs: inputs.map(({ name, dims }) => ({ name, dims })) },
    );
  }
  return rows;
}

const widthOf = (input: ModelInput): number =>
  input.dims.slice(1).reduce((product, dim) => product * dim, 1);

/** Rows `start` to `end` as views on the same memory. */
export function slice(
  inputs: readonly ModelInput[],
  start: number,
  end: number,
): readonly ModelInput[] {
  return inputs.map((input) => {
    const width = widthOf(input);
    return {
      ...input,
      dims: [end - start, ...input.dims.slice(1)],
      data: input.data.subarray(start * width, end * width),
    };
  });
}

/** A copy with the rows named, in that order. */
export function gather(
  inputs: readonly ModelInput[],
  rows: ArrayLike<number>,
): readonly ModelInput[] {
  return inputs.map((input) => {
    const width = widthOf(input);
    const { data } = input;
    const dims = [rows.length, ...input.dims.slice(1)];
    if (data instanceof BigInt64Array) {
      const out = new BigInt64Array(rows.length * width);
      copyRows(data, out, rows, width);
      return { ...input, dims, data: out };
    }
    const out =
      data instanceof Float32Array
        ? new Float32Array(rows.length * width)
        : new Uint8Array(rows.length * width);
    copyRows(data, out, rows, width);
    return { ...input, dims, data: out };
  });
}

function copyRows<T extends number | bigint>(
  from: Record<number, T>,
  to: Record<number, T>,
  rows: ArrayLike<number>,
  width: number,
): void {
  for (let row = 0; row < rows.length; row++) {
    const source = (rows[row] ?? 0) * width;
    for (let column = 0; column < width; column++) {
      const value = from[source + column];
      if (value !== undefined) to[row * width + column] = value;
    }
  }
}

/** A copy in which one column of one input takes its values from the rows in `order`. */
export function permuteColumn(
  inputs: readonly ModelInput[],
  name: string,
  column: number,
  order: Uint32Array,
): readonly ModelInput[] {
  return inputs.map((input) => {
    if (input.name !== name) return input;
    const width = widthOf(input);
    const { data } = input;
    if (data instanceof BigInt64Array) {
      const out = data.slice();
      for (const [row, from] of order.entries())
        out[row * width + column] = data[from * width + column] ?? 0n;
      return { ...input, data: out };
    }
    const out = data.slice();
    for (const [row, from] of order.entries())
      out[row * width + column] = data[from * width + column] ?? 0;
    return { ...input, data: out };
  });
}

/** About `limit` rows spread evenly over all of them. */
export function evenRows(total: number, limit: number): Uint32Array {
  const count = Math.min(total, limit);
  return Uint32Array.from({ length: count }, (_, index) => Math.floor((index * total) / count));
}
