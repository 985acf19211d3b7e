/** Attention backward with four rows a thread, side by side in vectors: the sides are told apart in backward-sides.ts. */
import { f32 } from '../lowering/address';
import { heads, range } from './backward-sides';
import type { Direction, Rows } from './backward-sides';
import { lanesOf, times } from './device-layout';
import type { Lanes } from './device-layout';

export function threadBody(the: Direction): string {
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
