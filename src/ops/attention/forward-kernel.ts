/**
 * Attention forward: (q, k, v) -> y and, where asked for, the logarithm of each row's sum of exponents. Two forms:
 *
 * - `tiles`: a workgroup has a tile of queries; tiles of keys and values pass through its memory, and each thread
 *   multiplies small blocks of them in registers.
 * - `threads`: a thread has four queries side by side in vectors and walks the keys, four at a time. For emulated
 *   GPUs, where barriers are dear.
 */
import { f32 } from '../lowering/address';
import type { DeviceTensor, PlanBuilder, StaticType } from '../lowering/plan';
import {
  CLOSED,
  SIDE,
  THREADS,
  chooseTile,
  keyHead,
  lanesOf,
  loadTile,
  padded,
  rowFunctions,
  tilesThatFit,
  times,
} from './device-layout';
import type { DeviceAttention, Tile } from './device-layout';

const floatsOf =
  ({ size, valueSize }: DeviceAttention) =>
  ({ own, other }: Tile): number =>
    own * padded(size) + other * padded(Math.max(size, valueSize)) + own * padded(other) + 3 * own;

/** Widest head that a thread keeps beside others. */
const WIDEST = 256;

/** Whether these kernels can do it on this device. */
export function forwardFits(plan: PlanBuilder, of: DeviceAttention): boolean {
  if (Math.max(of.size, of.valueSize) > WIDEST) return false;
  return plan.traits.software || tilesThatFit(plan, floatsOf(of)).length > 0;
}

export function attentionForward(
  plan: PlanBuilder,
  of: DeviceAttention,
  inputs: readonly DeviceTensor[],
  outputs: readonly StaticType[],
): readonly DeviceTensor[] {
  const { batch, queryHeads, queries, keys, size, valueSize } = of;
  const work = batch * queryHeads * queries * keys * (size + valueSize);
  const tile = chooseTile(plan, 'Attention', of, floatsOf(of));
  const common = { label: 'Attention', inputs, outputs, work };
  const sums = outputs.length > 1;
  if (tile === undefined) {
    return plan.kernel({
      ...common,
      declarations: rowFunctions(of),
      items: batch * queryHeads * Math.ceil(queries / 4),
      body: threadBody(of, sums),
    });
  }
  return plan.kernel({
    ...common,
    declarations: `${rowFunctions(of)}${tileMemory(of, tile)}`,
    workgroups: { count: batch * queryHeads * Math.ceil(queries / tile.own), size: THREADS },
    // Keys and values are read once for each tile of queries: what only moves elements may happen on the way.
    streams: [0, 1, 2],
    body: tileBody(of, tile, sums),
  });
}

function threadBody(of: DeviceAttention, sums: boolean): string {
  const { queries, keys, size, valueSize, causal, scale } = of;
  const quads = Math.ceil(queries / 4);
  const last = (t: string) => (queries % 4 === 0 ? t : `min(${t}, ${queries - 1})`);
  const lanes = [0, 1, 2, 3];
  const q = lanesOf('q_own', size);
  const acc = lanesOf('acc', valueSize);
  const closed = (u: number) => {
    const parts = [
      ...(causal ? [`vec4<i32>(j + ${u}) > places`] : []),
      ...(keys % 4 === 0 ? [] : [`vec4<bool>(j + ${u} >= ${keys})`]),
    ];
    const code = parts.length === 2 ? `(${parts[0]}) | ${parts[1]}` : parts[0];
    return code === undefined ? '' : `s${u} = select(s${u}, vec4<f32>(${CLOSED}), ${code});`;
  };
  const key = (u: number) => (keys % 4 === 0 ? `j + ${u}` : `min(j + ${u}, ${keys - 1})`);
  return `  let bh = index / ${quads};
  let bk = ${keyHead(of)};
  let i = (index % ${quads}) * 4;
  let places = vec4<i32>(i, i + 1, i + 2, i + 3);
${times(4, (u) => `  let q${u} = q_row(bh, ${last(`i + ${u}`)});`)}
${q.declare((d) => `vec4<f32>(${lanes.map((u) => `x0(q${u} + ${d})`).join(', ')}) * ${f32(scale)}`)}
${acc.declare(() => 'vec4<f32>(0.0)')}
  var top = vec4<f32>(${CLOSED});
  var total = vec4<f32>(0.0);
  let end = ${causal ? `min(i + 4, ${keys})` : keys};
  for (var j = 0; j < end; j += 4) {
${times(4, (u) => `    let k${u} = k_row(bk, ${key(u)}); let v${u} = v_row(bk, ${key(u)});`)}
${times(4, (u) => `    var s${u} = vec4<f32>(0.0);`)}
${q.each((d, own) => times(4, (u) => `      s${u} += ${own} * x1(k${u} + ${d});`))}
${times(4, (u) => `    ${closed(u)}`)}
    let higher = max(top, max(max(s0, s1), max(s2, s3)));
    let shrink = exp(top - higher);
    top = higher;
${times(4, (u) => `    let share${u} = exp(s${u} - top);`)}
    total = total * shrink + ((share0 + share1) + (share2 + share3));
${acc.each(
  (d, sum) =>
    `      ${sum} = ${sum} * shrink + ((share0 * x2(v0 + ${d}) + share1 * x2(v1 + ${d})) + (share2 * x2(v2 + ${d}) + share3 * x2(v3 + ${d})));`,
)}
  }
${times(
  4,
  (u) => `  if (i + ${u} < ${queries}) {
    let row = y_row(bh, i + ${u});
${acc.each((d, sum) => `    y0(row + ${d}, ${sum}[${u}] / total[${u}]);`)}
    ${sums ? `y1(bh * ${queries} + i + ${u}, top[${u}] + log(total[${u}]));` : ''}
  }`,
)}`;
}

function tileMemory({ size, valueSize }: DeviceAttention, { own, other }: Tile): string {
  return `
var<workgroup> q_tile: array<f32, ${own * padded(size)}>;
var<workgroup> kv_tile: array<f32, ${other * padded(Math.max(size, valueSize))}>;
var<workgroup> p_tile: array<f32, ${own * padded(other)}>;
var<workgroup> row_top: array<f32, ${own}>;
var<workgroup> row_total: array<f32, ${own}>;
var<workgroup> row_shrink: array<f32, ${own}>;
`;
}

function tileBody(of: DeviceAttention, tile: Tile, sums: boolean): string {
  const { queries, keys, size, valueSize, causal, scale } = of;
  const { own, other } = tile;
  const tiles = Math.ceil(queries / own);
  const [rows, columns] = [own / SIDE, other / SIDE];
  const depth = Math.ceil(valueSize / SIDE);
  const each = (count: number, code: (a: number, c: number) => string) =>
    times(rows, (a) => times(count, (c) => code(a, c)));
  const row = (a: number) => `(down + ${a * SIDE})`;
  const column = (c: number) => `(across + ${c * SIDE})`;
  const whole = valueSize % SIDE === 0;
  const inside = (c: number, code: string) =>
    whole || (c + 1) * SIDE <= valueSize ? code : `if (${column(c)} < ${valueSize}) { ${code} }`;
  return `  let bh = group / ${tiles};
  let bk = ${keyHead(of)};
  let i0 = group % ${tiles} * ${own};
  let across = local % ${SIDE};
  let down = local / ${SIDE};
${loadTile('q_tile', { rows: own, width: size, from: 'i0', limit: queries, slot: 0, address: (t) => `q_row(bh, ${t})` })}
  if (local < ${own}) { row_top[local] = ${CLOSED}; row_total[local] = 0.0; }
${each(depth, (a, c) => `  var acc_${a}_${c} = 0.0;`)}
  let end = ${causal ? `min(i0 + ${own}, ${keys})` : keys};
  for (var j0 = 0; j0 < end; j0 += ${other}) {
    workgroupBarrier();
${loadTile('kv_tile', { rows: other, width: size, from: 'j0', limit: keys, slot: 1, address: (t) => `k_row(bk, ${t})` })}
    workgroupBarrier();
${each(columns, (a, c) => `    var s_${a}_${c} = 0.0;`)}
    for (var d = 0; d < ${size}; d++) {
${times(rows, (a) => `      let q_${a} = q_tile[${row(a)} * ${padded(size)} + d];`)}
${times(columns, (c) => `      let k_${c} = kv_tile[${column(c)} * ${padded(size)} + d];`)}
${each(columns, (a, c) => `      s_${a}_${c} += q_${a} * k_${c};`)}
    }
${each(columns, (a, c) => {
  const open = [
    ...(keys % other === 0 ? [] : [`j0 + ${column(c)} < ${keys}`]),
    ...(causal ? [`j0 + ${column(c)} <= i0 + ${row(a)}`] : []),
  ];
  const score = `s_${a}_${c} * ${f32(scale)}`;
  const value = open.length === 0 ? score : `select(${CLOSED}, ${score}, ${open.join(' && ')})`;
  return `    p_tile[${row(a)} * ${padded(other)} + ${column(c)}] = ${value};`;
})}
    workgroupBarrier();
${loadTile('kv_tile', { rows: other, width: valueSize, from: 'j0', limit: keys, slot: 2, address: (t) => `v_row(bk, ${t})` })}
    if (local < ${own}) {
      let first = local * ${padded(other)};
      let before = row_top[local];
      var top = before;
      for (var j = 0; j < ${other}; j++) { top = max(top, p_tile[first + j]); }
      var total = 0.0;
      for (var j = 0; j < ${other}; j++) {
        let p = exp(p_tile[first + j] - top);
        p_tile[first + j] = p;
        total += p;
      }
      let shrink = exp(before - top);
      row_total[local] = row_total[local] * shrink + total;
      row_top[local] = top;
      row_shrink[local] = shrink;
    }
    workgroupBarrier();
${times(rows, (a) => `    let shrink_${a} = row_shrink[${row(a)}];`)}
${each(depth, (a, c) => `    acc_${a}_${c} *= shrink_${a};`)}
    for (var j = 0; j < ${other}; j++) {
${times(rows, (a) => `      let p_${a} = p_tile[${row(a)} * ${padded(other)} + j];`)}
${times(depth, (c) => `      let v_${c} = kv_tile[j * ${padded(valueSize)} + min(${column(c)}, ${valueSize - 1})];`)}
${each(depth, (a, c) => `      acc_${a}_${c} += p_${a} * v_${c};`)}
    }
  }
${times(
  rows,
  (a) => `  if (i0 + ${row(a)} < ${queries}) {
    let to = y_row(bh, i0 + ${row(a)});
    let share_${a} = 1.0 / row_total[${row(a)}];
${times(depth, (c) => `    ${inside(c, `y0(to + ${column(c)}, acc_${a}_${c} * share_${a});`)}`)}
  }`,
)}
${sums ? `  if (local < ${own} && i0 + local < ${queries}) { y1(bh * ${queries} + i0 + local, row_top[local] + log(row_total[local])); }` : ''}`;
}
