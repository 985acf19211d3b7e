/**
 * Matrix products of strided operands: transposed and permuted ones are read where they lie. A bias, an activation or
 * a residual is a pointwise kernel that follows; the compiler applies it where the result is written.
 */
import { sizeOf } from '../../core/dtype';
import { addressOf } from '../lowering/address';
import { only } from '../lowering/context';
import type { DeviceTensor, PlanBuilder, StaticType } from '../lowering/plan';
import { sumsInRegisters } from './registers';
import type { Operand, Sums } from './registers';
import { sumsInTiles } from './tiles';

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

export type ProductVariant = 'quads' | 'direct' | 'tiled' | 'small tiles' | 'split';

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

/** Over so many outputs a GPU has room for larger tiles. */
const MANY_TILES = 128;
const FEW_TILES = 32;
/** A short inner axis is not worth cutting. */
const SHORT = 128;
const MOST_PARTS = 32;

const tilesOf = ({ batch, rows, columns }: Product, lines: number): number =>
  sizeOf(batch) * Math.ceil(rows / lines) * Math.ceil(columns / lines);

/** Pieces of the inner axis that give enough tiles, all equally long. */
function partsOf(product: Product, lines: number): number {
  const wanted = Math.ceil((2 * FEW_TILES) / tilesOf(product, lines));
  const most = Math.min(wanted, MOST_PARTS, Math.max(1, Math.floor(product.inner / (SHORT / 4))));
  for (let parts = most; parts > 1; parts--) if (product.inner % parts === 0) return parts;
  return 1;
}

function fixedVariant(plan: PlanBuilder, product: Product): ProductVariant {
  const { software, subgroups } = plan.traits;
  if (software) return subgroups ? 'quads' : 'direct';
  if (tilesOf(product, 64) >= MANY_TILES) return 'tiled';
  const { rows, columns, inner } = product;
  if (tilesOf(product, 32) >= FEW_TILES) return 'small tiles';
  if (inner > SHORT && partsOf(product, 32) > 1) return 'split';
  return Math.min(rows, columns) < 8 || inner < 16 ? 'direct' : 'small tiles';
}

export function product(plan: PlanBuilder, given: Product): DeviceTensor {
  const { rows, columns, inner } = given;
  const variants: readonly ProductVariant[] = [
    'direct',
    'tiled',
    'small tiles',
    'split',
    ...(plan.traits.software && plan.traits.subgroups ? (['quads'] as const) : []),
  ];
  const sizes = [sizeOf(given.batch), rows, columns, inner];
  const variant = plan.choose('matmul', sizes, variants, fixedVariant(plan, given));
  if (variant === 'tiled') return sumsInTiles(plan, sumsOf(given), 64);
  if (variant === 'small tiles') return sumsInTiles(plan, sumsOf(given), 32);
  if (variant !== 'split') return sumsInRegisters(plan, sumsOf(given), variant);
  const parts = partsOf(given, 32);
  const partial = sumsInTiles(plan, sumsOf(given, parts), 32);
  return parts === 1 ? partial : addedUp(plan, given.label, partial, parts, given.output);
}

/** Partial sums [parts, ...] in order. */
export function addedUp(
  plan: PlanBuilder,
  label: string,
  partial: DeviceTensor,
  parts: number,
  output: StaticType,
): DeviceTensor {
  const size = sizeOf(output.dims);
  return only(
    plan.kernel({
      label: `${label} sum`,
      inputs: [partial],
      outputs: [output],
      streams: [0],
      body: `  var total = x0(index);
  for (var part = 1; part < ${parts}; part++) { total += x0(part * ${size} + index); }
  y0(index, total);`,
    }),
  );
}
