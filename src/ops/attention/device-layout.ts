/**
 * What the attention kernels share: sizes, where rows lie, and tiles of them in workgroup memory.
 *
 *   Y = softmax(scale · Q Kᵀ) V, without the [queries, keys] matrix (Dao et al. 2022, arXiv 2205.14135; Dao 2023,
 *   arXiv 2307.08691): keys go by in tiles, and what was summed is rescaled whenever a larger score comes.
 */
import { f32 } from '../lowering/address';
import type { PlanBuilder } from '../lowering/plan';
import type { AttentionSizes } from './settings';

export interface DeviceAttention extends AttentionSizes {
  readonly causal: boolean;
  readonly scale: number;
}

/** Closed scores: so low that exp gives 0, and still finite. */
export const CLOSED = f32(-3e38);

/** WGSL functions of the first element of a row: of Q and dQ, of K, of V, of Y; `bh` and `bk` number batch and head together. */
export function rowFunctions(of: DeviceAttention): string {
  const { flat, queryHeads, heads, queries, keys, size, valueSize } = of;
  const row = (name: string, own: number, sequence: number, width: number) =>
    `fn ${name}(bh: i32, t: i32) -> i32 { return ${
      flat
        ? `((bh / ${own} * ${sequence} + t) * ${own} + bh % ${own}) * ${width}`
        : `(bh * ${sequence} + t) * ${width}`
    }; }`;
  return `
${row('q_row', queryHeads, queries, size)}
${row('k_row', heads, keys, size)}
${row('v_row', heads, keys, valueSize)}
${row('y_row', queryHeads, queries, valueSize)}
`;
}

/** WGSL: the key head that the query head `bh` shares. */
export function keyHead({ queryHeads, heads }: DeviceAttention, bh = 'bh'): string {
  if (queryHeads === heads) return bh;
  return `(${bh} / ${queryHeads} * ${heads} + ${bh} % ${queryHeads} / ${queryHeads / heads})`;
}

/** Threads of a workgroup stand 8 by 8; each has every eighth row and column of a tile, so tiles are multiples of 8. */
export const SIDE = 8;
export const THREADS = SIDE * SIDE;

export interface Tile {
  /** Rows whose results the workgroup makes. */
  readonly own: number;
  /** Rows that pass by at a time. */
  readonly other: number;
}

const TILES: readonly Tile[] = [
  { own: 32, other: 32 },
  { own: 32, other: 16 },
  { own: 16, other: 16 },
  { own: 16, other: 8 },
  { own: 8, other: 8 },
];

/**
 * Which tile the kernel works with; undefined where a thread shall do by itself. The largest that fits is fixed.
 * @param floats memory that a workgroup needs for a tile
 */
export function chooseTile(
  plan: PlanBuilder,
  family: string,
  of: DeviceAttention,
  floats: (tile: Tile) => number,
): Tile | undefined {
  const { batch, queryHeads, queries, keys, size, causal } = of;
  const fitting = tilesThatFit(plan, floats);
  const name = ({ own, other }: Tile) => `${own}x${other}`;
  const [largest] = fitting;
  const chosen = plan.choose(
    family,
    [batch * queryHeads, queries, keys, size, causal ? 1 : 0],
    ['threads', ...fitting.map(name)],
    plan.traits.software || largest === undefined ? 'threads' : name(largest),
  );
  return fitting.find((tile) => name(tile) === chosen);
}

export function tilesThatFit(
  { traits }: PlanBuilder,
  floats: (tile: Tile) => number,
): readonly Tile[] {
  if (traits.workgroupThreads < THREADS) return [];
  return TILES.filter((tile) => 4 * floats(tile) <= traits.workgroupBytes);
}

/** Rows of `width` numbers, one apart from each other in memory banks. */
export const padded = (width: number): number => width + 1;

/** WGSL: all threads copy `rows` rows into workgroup memory, zeros behind the last; `address` is where row `t` begins. */
export function loadTile(
  memory: string,
  {
    rows,
    width,
    from,
    limit,
    slot,
    address,
  }: {
    readonly rows: number;
    readonly width: number;
    readonly from: string;
    readonly limit: number;
    readonly slot: number;
    readonly address: (t: string) => string;
  },
): string {
  return `  for (var e = local; e < ${rows * width}; e += ${THREADS}) {
    let t = ${from} + e / ${width};
    var value = 0.0;
    if (t < ${limit}) { value = x${slot}(${address('t')} + e % ${width}); }
    ${memory}[e / ${width} * ${padded(width)} + e % ${width}] = value;
  }`;
}

/** Repeats code for each of `count` numbers. */
export const times = (count: number, code: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => code(n)).join('\n');

/** Four rows side by side as vectors, one for each of their numbers: in registers where they are few, else an array. */
export interface Lanes {
  /** WGSL that declares them, from the value of each number `d`. */
  declare(value: (d: string) => string): string;
  /** WGSL for each number `d`, with what holds it. */
  each(code: (d: string, vector: string) => string): string;
}

/** With more, emulated GPUs take a minute to compile the kernels, and save no more than a third of their time. */
const MOST_REGISTERS = 16;

export function lanesOf(name: string, width: number): Lanes {
  if (width <= MOST_REGISTERS) {
    const each = (code: (d: string, vector: string) => string) =>
      times(width, (d) => code(`${d}`, `${name}_${d}`));
    return {
      declare: (value) => each((d, vector) => `  var ${vector} = ${value(d)};`),
      each,
    };
  }
  const each = (code: (d: string, vector: string) => string) =>
    `  for (var d = 0; d < ${width}; d++) {\n${code('d', `${name}[d]`)}\n  }`;
  return {
    declare: (value) =>
      `  var ${name}: array<vec4<f32>, ${width}>;\n${each((d, vector) => `${vector} = ${value(d)};`)}`,
    each,
  };
}
