/**
 * Matrix products of strided operands: transposed and permuted ones are read where they lie. A bias, an activation or
 * a residual is a pointwise kernel that follows; the compiler applies it where the result is written.
 */
import { sizeOf } from '../../core/dtype';
import { addressOf } from '../lowering/address';
import type { DeviceTensor, PlanBuilder, StaticType } from '../lowering/plan';
import { partsFor, summed } from './choose';
import type { Operand, Sums } from './registers';

/** One side of a product: lines are the rows of the left and the columns of the right matrix. */
export interface Side {
  readonly tensor: DeviceTensor;
  /** Elements between neighbours; one for each axis of the batch. */
  readonly batch: readonly number[];
  readonly line: number;
  readonly inner: number;
}

export interface Product {
  readonly label: string;
  readonly batch: readonly number[];
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly a: Side;
  readonly b: Side;
  /** [...batch, rows, columns], in whatever shape. */
  readonly output: StaticType;
}

function operand(slot: number, side: Side, product: Product, chunk: number): Operand {
  const { line, inner, batch } = side;
  const start = [
    addressOf(product.batch, batch, 'n'),
    chunk === product.inner ? '0' : `part * ${chunk * inner}`,
  ].filter((term) => term !== '0');
  return {
    prepare: (register, at) =>
      `let ${register}_start = ${[...start, `(${at}) * ${line}`].join(' + ')};`,
    step: (register) => `let ${register}_at = ${register}_start + k * ${inner};`,
    load: (register, ahead) => `x${slot}(${register}_at + ${ahead * inner})`,
    along: inner === 1 ? 'inner' : 'line',
    element: (register, at) => ({
      lets: '',
      value: `x${slot}(${register}_start + ${at} * ${inner})`,
    }),
  };
}

/** The product as sums that any way of summing can take; with `parts`, one after the other in front of the batch. */
export function sumsOf(product: Product, parts = 1): Sums {
  const { label, a, b, rows, columns } = product;
  const batch = sizeOf(product.batch);
  const inner = product.inner / parts;
  const { dtype, dims } = product.output;
  return {
    label,
    inputs: [a.tensor, b.tensor],
    output: { dtype, dims: parts === 1 ? dims : [parts, batch * rows * columns] },
    batch,
    parts,
    rows,
    columns,
    inner,
    length: inner,
    a: operand(0, a, product, inner),
    b: operand(1, b, product, inner),
    place: (column) => `(part * ${batch} + n) * ${rows * columns} + ${column}`,
    rowStride: columns,
  };
}

export function product(plan: PlanBuilder, given: Product): DeviceTensor {
  const whole = sumsOf(given);
  const parts = partsFor(whole, given.inner);
  return summed(plan, 'matmul', whole, parts, () => sumsOf(given, parts));
}
