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
import { f32 } from '../lowering/address';
import type { DeviceTensor, PlanBuilder, StaticType } from '../lowering/plan';
import {
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
import type { DeviceAttention, Lanes, Tile } from './device-layout';

/** Inputs of the query side are (q, k, v, dY, lse, y), of the key side (q, k, v, dY, lse, δ). */
const SLOT = { q: 0, k: 1, v: 2, dy: 3, lse: 4, last: 5 } as const;

interface Rows {
  readonly slot: number;
  readonly width: number;
  /** WGSL function of the row's first element, and the batch and head it takes. */
  readonly address: (t: string) => string;
}

/** One of the two kernels. */
interface Direction {
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

function direction(of: DeviceAttention, side: 'queries' | 'keys'): Direction {
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

const MOST_PAIRS = 512;

const floatsOf =
  ({ size, valueSize }: DeviceAttention) =>
  ({ own, other }: Tile): number =>
    // Two products and two sums of 32 x 32 would be more than a thread's registers hold.
    own * other > MOST_PAIRS
      ? Infinity
      : (own + other) * (padded(size) + padded(valueSize)) +
        2 * own * padded(other) +
        2 * Math.max(own, other);

/** Whether these kernels can do it on this device. */
export function backwardFits(plan: PlanBuilder, of: DeviceAttention): boolean {
  return plan.traits.software || tilesThatFit(plan, floatsOf(of)).length > 0;
}

/** (q, k, v, dY, lse, y) -> dQ, δ, or (q, k, v, dY, lse, δ) -> dK, dV */
export function attentionBackward(
  plan: PlanBuilder,
  of: DeviceAttention,
  side: 'queries' | 'keys',
  inputs: readonly DeviceTensor[],
  outputs: readonly StaticType[],
): readonly DeviceTensor[] {
  const { batch, queryHeads, heads } = of;
  const tile = chooseTile(plan, 'AttentionGrad', of, floatsOf(of));
  const the = direction(of, side);
  const parts = batch * (side === 'queries' ? queryHeads : heads);
  const common = { label: the.label, inputs, outputs };
  if (tile === undefined) {
    return plan.kernel({
      ...common,
      declarations: rowFunctions(of),
      items: parts * Math.ceil(the.ownCount / 4),
      body: threadBody(the),
    });
  }
  return plan.kernel({
    ...common,
    declarations: `${rowFunctions(of)}${tileMemory(of, tile)}`,
    workgroups: { count: parts * Math.ceil(the.ownCount / tile.own), size: THREADS },
    streams: [0, 1, 2, 3],
    body: tileBody(the, tile),
  });
}

/** WGSL: `bh` and `bk` from the number of the part, and the loop over the query heads of a key head. */
function heads({ of, side }: Direction, part: string, code: string): string {
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
function range({ of, side, otherCount }: Direction, first: string, rows: number, step: number) {
  if (!of.causal) return { from: '0', end: `${otherCount}` };
  return side === 'queries'
    ? { from: '0', end: `min(${first} + ${rows}, ${otherCount})` }
    : { from: `${first} / ${step} * ${step}`, end: `${otherCount}` };
}

function threadBody(the: Direction): string {
  const { of, side, ownCount, otherCount, own, other } = the;
  const { queries, causal, scale } = of;
  const quads = Math.ceil(ownCount / 4);
  const keysOwn = side === 'keys';
  const ownRow = (u: number) =>
    ownCount % 4 === 0 ? `i + ${u}` : `min(i + ${u}, ${ownCount - 1})`;
  const otherRow = (u: number) =>
    otherCount % 4 === 0 ? `j + ${u}` : `min(j + ${u}, ${otherCount - 1})`;
  const lanes = (code: (u: number) => string) => `vec4<f32>(${[0, 1, 2, 3].map(code).join(', ')})`;
  const open = (u: number): string => {
    const parts = [
      ...(causal ? [`(vec4<i32>(j + ${u}) ${keysOwn ? '>=' : '<='} places)`] : []),
      ...(otherCount % 4 === 0 ? [] : [`vec4<bool>(j + ${u} < ${otherCount})`]),
    ];
    return parts.join(' & ');
  };
  const p = (u: number): string => {
    const sum = keysOwn ? `vec4<f32>(x4(bh * ${queries} + ${otherRow(u)}))` : 'sums';
    const value = `exp(s${u} * ${f32(scale)} - ${sum})`;
    const condition = open(u);
    return condition === '' ? value : `select(vec4<f32>(0.0), ${value}, ${condition})`;
  };
  const delta = (u: number) =>
    keysOwn ? `vec4<f32>(x5(bh * ${queries} + ${otherRow(u)}))` : 'delta';
  const { from, end } = range(the, 'i', 4, 4);
  const rowsA = lanesOf('own_a', own[0].width);
  const rowsB = lanesOf('own_b', own[1].width);
  const sumsA = lanesOf('to_a', own[0].width);
  const sumsB = lanesOf('to_b', own[1].width);
  const load = (name: string, rows: Rows, vectors: Lanes) =>
    `${times(4, (u) => `  let ${name}${u} = ${rows.address(ownRow(u))};`)}
${vectors.declare((d) => lanes((u) => `x${rows.slot}(${name}${u} + ${d})`))}`;
  const perQuery = keysOwn
    ? ''
    : `  let sums = ${lanes((u) => `x4(bh * ${queries} + ${ownRow(u)})`)};
  var delta = vec4<f32>(0.0);
${rowsB.each((d, mine) => `  delta += ${mine} * ${lanes((u) => `x5(own_b${u} + ${d})`)};`)}
${times(4, (u) => `  if (i + ${u} < ${queries}) { y1(bh * ${queries} + i + ${u}, delta[${u}]); }`)}`;
  const dots = (name: string, vectors: Lanes, { slot }: Rows, at: string) =>
    `${times(4, (u) => `    var ${name}${u} = vec4<f32>(0.0);`)}
${vectors.each((d, mine) => times(4, (u) => `    ${name}${u} += ${mine} * x${slot}(${at}${u} + ${d});`))}`;
  const add = (vectors: Lanes, factor: string, { slot }: Rows, at: string) =>
    vectors.each((d, sum) => {
      const term = (u: number) => `${factor}${u} * x${slot}(${at}${u} + ${d})`;
      return `    ${sum} += (${term(0)} + ${term(1)}) + (${term(2)} + ${term(3)});`;
    });
  const loop = `  for (var j = ${from}; j < ${end}; j += 4) {
${times(4, (u) => `    let a${u} = ${other[0].address(otherRow(u))}; let b${u} = ${other[1].address(otherRow(u))};`)}
${dots('s', rowsA, other[0], 'a')}
${dots('g', rowsB, other[1], 'b')}
${times(4, (u) => `    let share${u} = ${p(u)};`)}
${times(4, (u) => `    let ds${u} = share${u} * (g${u} - ${delta(u)}) * ${f32(scale)};`)}
${add(sumsA, 'ds', other[0], 'a')}
${keysOwn ? add(sumsB, 'share', other[1], 'b') : ''}
  }`;
  const zeros = (vectors: Lanes) => vectors.declare(() => 'vec4<f32>(0.0)');
  const store = (vectors: Lanes, output: number, name: string) =>
    times(
      4,
      (u) => `  if (i + ${u} < ${ownCount}) {
${vectors.each((d, sum) => `    y${output}(${name}${u} + ${d}, ${sum}[${u}]);`)}
  }`,
    );
  const loaded = `${load('own_a', own[0], rowsA)}\n${load('own_b', own[1], rowsB)}`;
  const start = `  let i = index % ${quads} * 4;
  let places = vec4<i32>(i, i + 1, i + 2, i + 3);
${zeros(sumsA)}
${keysOwn ? zeros(sumsB) : ''}`;
  const part = `index / ${quads}`;
  // The rows of keys are loaded before the loop over the query heads that share them.
  return keysOwn
    ? `${start}\n  let own_head = ${part};
${loaded.replaceAll('bk', 'own_head')}
${heads(the, 'own_head', loop)}
${store(sumsA, 0, 'own_a')}
${store(sumsB, 1, 'own_b')}`
    : `${start}
${heads(the, part, `${loaded}\n${perQuery}\n${loop}\n${store(sumsA, 0, 'own_a')}`)}`;
}

function tileMemory({ size, valueSize }: DeviceAttention, { own, other }: Tile): string {
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

function tileBody(the: Direction, tile: Tile): string {
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
