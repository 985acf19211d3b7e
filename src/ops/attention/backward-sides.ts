/**
 * Attention backward in two kernels, algorithm 4 of Dao et al. 2022 without atomic additions: one makes dQ (and δ, the
 * products dY·Y of each query), one makes dK and dV. Each result belongs to one thread, which adds in a fixed order,
 * so both compute the probabilities anew from the logarithms of their sums.
 *
 * Both are the same code from two sides. `own` rows are those whose results a thread or workgroup makes, `other` rows
 * pass by; each side has two rows that belong together:
 *
 *   queries own:  Q and dY;  others K and V      dQ = Σ ds · K
 *   keys own:     K and V;   others Q and dY     dK = Σ ds · Q,  dV = Σ p · dY
 *   p = exp(scale · Q·K − lse),  ds = scale · p · (dY·V − δ)
 */
import { keyHead } from './device-layout';
import type { DeviceAttention } from './device-layout';

/** Inputs of the query side are (q, k, v, dY, lse, y), of the key side (q, k, v, dY, lse, δ). */
const SLOT = { q: 0, k: 1, v: 2, dy: 3, lse: 4, last: 5 } as const;

export interface Rows {
  readonly slot: number;
  readonly width: number;
  /** WGSL function of the row's first element, and the batch and head it takes. */
  readonly address: (t: string) => string;
}

/** One of the two kernels. */
export interface Direction {
  readonly of: DeviceAttention;
  readonly side: 'queries' | 'keys';
  readonly label: string;
  /** Rows whose results are made, and rows that pass by. */
  readonly ownCount: number;
  readonly otherCount: number;
  /** Two of each: for the scores, and for the slopes. */
  readonly own: readonly [Rows, Rows];
  readonly other: readonly [Rows, Rows];
}

export function direction(of: DeviceAttention, side: 'queries' | 'keys'): Direction {
  const { queries, keys, size, valueSize } = of;
  const rows = (name: string, head: string, slot: number, width: number): Rows => ({
    slot,
    width,
    address: (t) => `${name}_row(${head}, ${t})`,
  });
  const query: [Rows, Rows] = [rows('q', 'bh', SLOT.q, size), rows('y', 'bh', SLOT.dy, valueSize)];
  const key: [Rows, Rows] = [rows('k', 'bk', SLOT.k, size), rows('v', 'bk', SLOT.v, valueSize)];
  return side === 'queries'
    ? {
        of,
        side,
        label: 'AttentionGrad queries',
        ownCount: queries,
        otherCount: keys,
        own: query,
        other: key,
      }
    : {
        of,
        side,
        label: 'AttentionGrad keys',
        ownCount: keys,
        otherCount: queries,
        own: key,
        other: query,
      };
}

/** WGSL: `bh` and `bk` from the number of the part, and the loop over the query heads of a key head. */
export function heads({ of, side }: Direction, part: string, code: string): string {
  if (side === 'queries') return `  let bh = ${part};\n  let bk = ${keyHead(of)};\n${code}`;
  const group = of.queryHeads / of.heads;
  if (group === 1) return `  let bk = ${part};\n  let bh = bk;\n${code}`;
  return `  let bk = ${part};
  for (var sharer = 0; sharer < ${group}; sharer++) {
  let bh = bk / ${of.heads} * ${of.queryHeads} + bk % ${of.heads} * ${group} + sharer;
${code}
  }`;
}

/** WGSL: the first and the end of the rows that pass by. */
export function range(
  { of, side, otherCount }: Direction,
  first: string,
  rows: number,
  step: number,
) {
  if (!of.causal) return { from: '0', end: `${otherCount}` };
  return side === 'queries'
    ? { from: '0', end: `min(${first} + ${rows}, ${otherCount})` }
    : { from: `${first} / ${step} * ${step}`, end: `${otherCount}` };
}
