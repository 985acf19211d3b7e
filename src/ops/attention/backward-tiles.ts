/** Attention backward with tiles of rows in workgroup memory: the sides are told apart in backward-sides.ts. */
import { f32 } from '../lowering/address';
import { heads, range } from './backward-sides';
import type { Direction, Rows } from './backward-sides';
import { loadTile, padded, SIDE, times } from './device-layout';
import type { DeviceAttention, Tile } from './device-layout';

const MOST_PAIRS = 512;

/** Numbers in workgroup memory. */
export const floatsOf =
  ({ size, valueSize }: DeviceAttention) =>
  ({ own, other }: Tile): number =>
    // Two products and two sums of 32 x 32 would be more than a thread's registers hold.
    own * other > MOST_PAIRS
      ? Infinity
      : (own + other) * (padded(size) + padded(valueSize)) +
        2 * own * padded(other) +
        2 * Math.max(own, other);

export function tileMemory({ size, valueSize }: DeviceAttention, { own, other }: Tile): string {
  return `
var<workgroup> own_a: array<f32, ${own * padded(size)}>;
var<workgroup> own_b: array<f32, ${own * padded(valueSize)}>;
var<workgroup> other_a: array<f32, ${other * padded(size)}>;
var<workgroup> other_b: array<f32, ${other * padded(valueSize)}>;
var<workgroup> p_tile: array<f32, ${own * padded(other)}>;
var<workgroup> ds_tile: array<f32, ${own * padded(other)}>;
var<workgroup> sums: array<f32, ${Math.max(own, other)}>;
var<workgroup> deltas: array<f32, ${Math.max(own, other)}>;
`;
}

export function tileBody(the: Direction, tile: Tile): string {
  const { of, side, ownCount, otherCount, own, other } = the;
  const { queries, causal, scale, valueSize } = of;
  const keysOwn = side === 'keys';
  const tiles = Math.ceil(ownCount / tile.own);
  const [rows, columns] = [tile.own / SIDE, tile.other / SIDE];
  const each = (count: number, code: (a: number, c: number) => string) =>
    times(rows, (a) => times(count, (c) => code(a, c)));
  const row = (a: number) => `(down + ${a * SIDE})`;
  const column = (c: number) => `(across + ${c * SIDE})`;
  const depth = ({ width }: Rows) => Math.ceil(width / SIDE);
  const { from, end } = range(the, 'i0', tile.own, tile.other);
  const load = (memory: string, source: Rows, count: number, first: string, limit: number) =>
    loadTile(memory, {
      rows: count,
      width: source.width,
      from: first,
      limit,
      slot: source.slot,
      address: source.address,
    });
  const dots = (
    name: string,
    mine: string,
    theirs: string,
    { width }: Rows,
  ) => `${each(columns, (a, c) => `    var ${name}_${a}_${c} = 0.0;`)}
    for (var d = 0; d < ${width}; d++) {
${times(rows, (a) => `      let mine_${a} = ${mine}[${row(a)} * ${padded(width)} + d];`)}
${times(columns, (c) => `      let other_${c} = ${theirs}[${column(c)} * ${padded(width)} + d];`)}
${each(columns, (a, c) => `      ${name}_${a}_${c} += mine_${a} * other_${c};`)}
    }`;
  const open = (a: number, c: number): string => {
    const [i, j] = [`i0 + ${row(a)}`, `j0 + ${column(c)}`];
    const order = keysOwn ? `${i} <= ${j}` : `${j} <= ${i}`;
    return [`${i} < ${ownCount}`, `${j} < ${otherCount}`, ...(causal ? [order] : [])].join(' && ');
  };
  const query = (a: number, c: number) => (keysOwn ? column(c) : row(a));
  const slopes = each(
    columns,
    (
      a,
      c,
    ) => `    let p_${a}_${c} = select(0.0, exp(s_${a}_${c} * ${f32(scale)} - sums[${query(a, c)}]), ${open(a, c)});
    ds_tile[${row(a)} * ${padded(tile.other)} + ${column(c)}] = p_${a}_${c} * (g_${a}_${c} - deltas[${query(a, c)}]) * ${f32(scale)};
${keysOwn ? `    p_tile[${row(a)} * ${padded(tile.other)} + ${column(c)}] = p_${a}_${c};` : ''}`,
  );
  const add = (
    to: string,
    factors: string,
    memory: string,
    rowsOf: Rows,
  ) => `    for (var j = 0; j < ${tile.other}; j++) {
${times(rows, (a) => `      let f_${a} = ${factors}[${row(a)} * ${padded(tile.other)} + j];`)}
${times(depth(rowsOf), (c) => `      let o_${c} = ${memory}[j * ${padded(rowsOf.width)} + min(${column(c)}, ${rowsOf.width - 1})];`)}
${each(depth(rowsOf), (a, c) => `      ${to}_${a}_${c} += f_${a} * o_${c};`)}
    }`;
  const store = (to: string, output: number, target: Rows) =>
    times(
      rows,
      (a) => `  if (i0 + ${row(a)} < ${ownCount}) {
    let at = ${target.address(`i0 + ${row(a)}`)};
${times(depth(target), (c) => {
  const code = `y${output}(at + ${column(c)}, ${to}_${a}_${c});`;
  return (c + 1) * SIDE <= target.width
    ? `    ${code}`
    : `    if (${column(c)} < ${target.width}) { ${code} }`;
})}
  }`,
    );
  /** Logarithms and δ of the queries among the rows that pass by. */
  const passing = keysOwn
    ? `    if (local < ${tile.other} && j0 + local < ${queries}) {
      sums[local] = x4(bh * ${queries} + j0 + local);
      deltas[local] = x5(bh * ${queries} + j0 + local);
    }`
    : '';
  const perQuery = keysOwn
    ? ''
    : `  workgroupBarrier();
  if (local < ${tile.own} && i0 + local < ${queries}) {
    let at = y_row(bh, i0 + local);
    var delta = 0.0;
    for (var d = 0; d < ${valueSize}; d++) { delta += own_b[local * ${padded(valueSize)} + d] * x5(at + d); }
    deltas[local] = delta;
    sums[local] = x4(bh * ${queries} + i0 + local);
    y1(bh * ${queries} + i0 + local, delta);
  }`;
  const loop = `  for (var j0 = ${from}; j0 < ${end}; j0 += ${tile.other}) {
    workgroupBarrier();
${load('other_a', other[0], tile.other, 'j0', otherCount)}
${load('other_b', other[1], tile.other, 'j0', otherCount)}
${passing}
    workgroupBarrier();
${dots('s', 'own_a', 'other_a', other[0])}
${dots('g', 'own_b', 'other_b', other[1])}
${slopes}
    workgroupBarrier();
${add('to_a', 'ds_tile', 'other_a', other[0])}
${keysOwn ? add('to_b', 'p_tile', 'other_b', other[1]) : ''}
  }`;
  const loaded = `${load('own_a', own[0], tile.own, 'i0', ownCount)}
${load('own_b', own[1], tile.own, 'i0', ownCount)}`;
  const start = `  let i0 = group % ${tiles} * ${tile.own};
  let across = local % ${SIDE};
  let down = local / ${SIDE};
${each(depth(own[0]), (a, c) => `  var to_a_${a}_${c} = 0.0;`)}
${keysOwn ? each(depth(own[1]), (a, c) => `  var to_b_${a}_${c} = 0.0;`) : ''}`;
  const part = `group / ${tiles}`;
  return keysOwn
    ? `${start}
  let own_head = ${part};
${loaded.replaceAll('bk', 'own_head')}
${heads(the, 'own_head', loop)}
${store('to_a', 0, own[0]).replaceAll('bk', 'own_head')}
${store('to_b', 1, own[1]).replaceAll('bk', 'own_head')}`
    : `${start}
${heads(the, part, `${loaded}\n${perQuery}\n${loop}\n${store('to_a', 0, own[0])}`)}`;
}
