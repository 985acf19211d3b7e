/** Which way sums of products are computed: by sizes and what the device is, unless a tuned plan says otherwise. */
import { sizeOf } from '../../core/dtype';
import type { DeviceTensor, PlanBuilder } from '../lowering/plan';
import { reduce } from '../reductions/reduce';
import { sumsInRegisters } from './registers';
import type { Sums } from './registers';
import { sumsInTiles } from './tiles';

/**
 * `direct`: any device, small products. `quads`: emulated GPUs. `tiled`, `small tiles`: hardware, by how many tiles
 * there are. `split`: hardware, where outputs are few and sums long.
 */
export type SumsVariant = 'direct' | 'quads' | 'tiled' | 'small tiles' | 'split';

/** With so many large tiles a GPU is full; with fewer small ones than this, mostly idle. */
const MANY_TILES = 128;
const FEW_TILES = 32;
/** Sums as short as this are not cut, and pieces are not much shorter. */
const SHORT = 128;
const MOST_PARTS = 32;

const tilesOf = ({ batch, rows, columns }: Sums, lines: number): number =>
  batch * Math.ceil(rows / lines) * Math.ceil(columns / lines);

/** Into how many equal pieces `steps` of the inner axis are cut for enough tiles. */
export function partsFor(sums: Sums, steps: number): number {
  const wanted = Math.ceil((2 * FEW_TILES) / tilesOf(sums, 32));
  const longest = Math.max(1, Math.floor(sums.length / (SHORT / 4)));
  for (let parts = Math.min(wanted, MOST_PARTS, longest); parts > 1; parts--) {
    if (steps % parts === 0) return parts;
  }
  return 1;
}

function fixedVariant({ traits }: PlanBuilder, sums: Sums, parts: number): SumsVariant {
  const { rows, columns, length } = sums;
  if (traits.software) {
    const lone = sums.batch * rows * columns <= 1024 && length >= 4096 && parts > 1;
    if (lone) return 'split';
    return traits.subgroups ? 'quads' : 'direct';
  }
  if (tilesOf(sums, 64) >= MANY_TILES) return 'tiled';
  if (tilesOf(sums, 32) >= FEW_TILES) return 'small tiles';
  if (length > SHORT && parts > 1) return 'split';
  return Math.min(rows, columns) < 8 || length < 16 ? 'direct' : 'small tiles';
}

/** @param cut the same sums in `parts` pieces, one after the other */
export function summed(
  plan: PlanBuilder,
  family: string,
  sums: Sums,
  parts: number,
  cut: () => Sums,
): DeviceTensor {
  const { traits } = plan;
  const variants: readonly SumsVariant[] = [
    'direct',
    'tiled',
    'small tiles',
    ...(parts > 1 ? (['split'] as const) : []),
    ...(traits.software && traits.subgroups ? (['quads'] as const) : []),
  ];
  const sizes = [sums.batch, sums.rows, sums.columns, sums.length];
  const variant = plan.choose(family, sizes, variants, fixedVariant(plan, sums, parts));
  if (variant === 'tiled') return sumsInTiles(plan, sums, 64);
  if (variant === 'small tiles') return sumsInTiles(plan, sums, 32);
  if (variant !== 'split') return sumsInRegisters(plan, sums, variant);
  const partial = traits.software
    ? sumsInRegisters(plan, cut(), traits.subgroups ? 'quads' : 'direct')
    : sumsInTiles(plan, cut(), 32);
  return reduce(plan, {
    label: `${sums.label} sum`,
    inputs: [partial],
    dims: [parts, sizeOf(sums.output.dims)],
    axes: [0],
    combine: 'sum',
    element: 'x0(i)',
    output: sums.output,
  });
}
