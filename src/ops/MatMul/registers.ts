/**
 * Sums of products without shared memory: each thread keeps a tile of the output in registers and walks the inner axis
 * in order. Matrix products and convolutions differ only in where their operands lie (`Operand`).
 *
 * `quads`: four neighbouring threads share a tile. Each loads a quarter of the rows and of the columns, and the rows go
 * round by quadSwap, so a loaded element is used by all four. On an emulated GPU a load costs ten multiplications and a
 * swap next to nothing: measured on SwiftShader, three times as fast as 4 x 4 tiles of single threads.
 */
import type { DeviceTensor, DeviceTraits, PlanBuilder, StaticType } from '../lowering/plan';
import { only, wgslType } from '../lowering/context';

/** Rows of the left matrix, or columns of the right one. WGSL names made here begin with the register's name. */
export interface Operand {
  /** Statements before all loops: what depends on the line's number alone. `part` and `n` are known. */
  prepare(register: string, line: string): string;
  /** Statements within the outer loops, before the innermost. */
  enter?(register: string): string;
  /** Statements for some steps of the innermost loop that begin at `k`. */
  step(register: string): string;
  /** Statements for the element `ahead` steps behind `k`, and the element. */
  ahead?(register: string, ahead: number): string;
  load(register: string, ahead: number): string;
  /** Which way neighbours in memory lie. */
  readonly along: 'line' | 'inner';
  /** The element at step `inner` of all loops together. */
  element(register: string, inner: string): { readonly lets: string; readonly value: string };
}

export interface Sums {
  readonly label: string;
  readonly inputs: readonly DeviceTensor[];
  readonly output: StaticType;
  /** Matrices side by side, by `n`; and pieces of the inner axis, by `part`. */
  readonly batch: number;
  readonly parts?: number;
  readonly rows: number;
  readonly columns: number;
  /** Heads of the loops around the innermost, outside in. */
  readonly outer?: readonly string[];
  /** Statements inside all of `outer`. */
  readonly settle?: string;
  /** Steps of the innermost loop, and of all loops together. */
  readonly inner: number;
  readonly length: number;
  readonly a: Operand;
  readonly b: Operand;
  /** Where the output of row 0 lies for a column; rows are `rowStride` apart. */
  place(column: string): string;
  readonly rowStride: number;
}

export interface Tile {
  /** Registers of rows and of columns. */
  readonly high: number;
  readonly wide: number;
}

export type RegisterVariant = 'quads' | 'direct';

const SWAPS = ['', 'quadSwapX', 'quadSwapY', 'quadSwapDiagonal'];
const HEIGHTS = [1, 2, 3, 4];
/** Fewer tiles than this leave processors idle; over so many outputs 32 workgroups of 64 threads are kept busy. */
const FEW_TILES = 8;
const FEW_THREADS = 2048;
const MANY_OUTPUTS = 65536;
/** Nanoseconds on SwiftShader of a load, a multiplication and a step of the loop. */
const COST = { load: 7, product: 0.8, step: 5 };

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** The tile with the least work, counting what lies over the edge. */
export function tileOf(sums: Sums, variant: RegisterVariant, { software }: DeviceTraits): Tile {
  const { rows, columns, batch, parts = 1 } = sums;
  const lanes = variant === 'quads' ? 4 : 1;
  const sides = variant === 'quads' || !software ? HEIGHTS : [1, 2, 4, 8];
  const threaded = !software || (lanes === 1 && batch * rows * columns >= MANY_OUTPUTS);
  const few = threaded ? FEW_THREADS : FEW_TILES;
  let best: Tile = { high: 1, wide: 1 };
  let least = Infinity;
  for (const high of sides) {
    for (const wide of sides) {
      const tiles =
        batch * parts * Math.ceil(rows / (high * lanes)) * Math.ceil(columns / (wide * lanes));
      const each = COST.load * (high + wide) + COST.product * high * wide * lanes + COST.step;
      const work = Math.max(tiles, few) * each;
      if (work < least) {
        least = work;
        best = { high, wide };
      }
    }
  }
  return best;
}

export function sumsInRegisters(
  plan: PlanBuilder,
  sums: Sums,
  variant: RegisterVariant,
  tile = tileOf(sums, variant, plan.traits),
): DeviceTensor {
  const { label, inputs, output, rows, columns, batch, parts = 1, length } = sums;
  const work = batch * parts * rows * columns * length;
  const lanes = variant === 'quads' ? 4 : 1;
  const [height, width] = [tile.high * lanes, tile.wide * lanes];
  const across = Math.ceil(columns / width);
  const down = Math.ceil(rows / height);
  const tiles = batch * parts * down * across;
  const body = `  let left = (tile % ${across}) * ${width};
  let top = ((tile / ${across}) % ${down}) * ${height};
  let n = ${parts === 1 ? `tile / ${across * down}` : `(tile / ${across * down}) % ${batch}`};
  let part = ${parts === 1 ? '0' : `tile / ${across * down * batch}`};
${tileBody(sums, tile, variant)}`;
  if (variant === 'direct') {
    const items = { items: tiles, body: `  let tile = index;\n${body}` };
    return only(plan.kernel({ label, inputs, outputs: [output], work, ...items }));
  }
  const perGroup = [8, 4, 2].find((size) => tiles % size === 0 && tiles / size >= 32) ?? 1;
  return only(
    plan.kernel({
      label,
      inputs,
      outputs: [output],
      work,
      subgroups: true,
      workgroups: { count: tiles / perGroup, size: 4 * perGroup },
      body: `  let lane = local % 4;
  let tile = group * ${perGroup} + local / 4;
${body}`,
    }),
  );
}

function tileBody(sums: Sums, { high, wide }: Tile, variant: RegisterVariant): string {
  const { a, b, rows, columns, inner, outer = [], settle = '' } = sums;
  const integer = wgslType(sums.output.dtype) === 'i32';
  const lanes = variant === 'quads' ? 4 : 1;
  const swaps = range(lanes);
  const within = (line: string, count: number, size: number): string =>
    count % (size * lanes) === 0 ? line : `min(${line}, ${count - 1})`;
  const lineOf = (start: string, register: number): string =>
    lanes === 1 ? `${start} + ${register}` : `${start} + ${register * lanes} + lane`;
  const [aNames, bNames] = [range(high).map((r) => `a${r}`), range(wide).map((c) => `b${c}`)];
  const both = (of: (operand: Operand, register: string) => string | undefined): string =>
    [...aNames.map((name) => of(a, name)), ...bNames.map((name) => of(b, name))]
      .filter((line) => line !== undefined && line !== '')
      .join('\n');
  const sumsOf = range(high).flatMap((r) =>
    swaps.flatMap((s) => range(wide).map((c) => ({ r, s, c, name: `t${r}_${s}_${c}` }))),
  );

  /** Some steps of the innermost loop at once: a sum is written once for all of them. */
  const steps = (count: number): string => {
    const lines: string[] = [];
    for (const u of range(count)) {
      lines.push(both((operand, name) => operand.ahead?.(name, u)));
      aNames.forEach((name, r) => {
        lines.push(`let p${u}_${r}_0 = ${a.load(name, u)};`);
        for (const s of swaps.slice(1)) {
          lines.push(`let p${u}_${r}_${s} = ${SWAPS[s] ?? ''}(p${u}_${r}_0);`);
        }
      });
      bNames.forEach((name, c) => lines.push(`let q${u}_${c} = ${b.load(name, u)};`));
    }
    for (const { r, s, c, name } of sumsOf) {
      const total = range(count).reduce(
        (sum, u) =>
          integer
            ? `${sum} + p${u}_${r}_${s} * q${u}_${c}`
            : `fma(p${u}_${r}_${s}, q${u}_${c}, ${sum})`,
        name,
      );
      lines.push(`${name} = ${total};`);
    }
    return lines.join('\n');
  };
  // All of a short loop at once; of a long one, as much as leaves registers.
  const unroll = inner <= 4 ? Math.max(inner, 1) : high * wide * lanes > 32 ? 2 : 4;
  const rounds = Math.floor(inner / unroll);
  const rest = inner % unroll;
  const from = (k: string, count: number): string => `let k = ${k};
${both((operand, name) => operand.step(name))}
${steps(count)}`;
  const loops = [
    rounds > 1 || inner === 0
      ? `for (var round = 0; round < ${rounds}; round++) {\n${from(`round * ${unroll}`, unroll)}\n}`
      : `{\n${from('0', unroll)}\n}`,
    rest === 0 ? '' : `{\n${from(`${inner - rest}`, rest)}\n}`,
  ];
  const writes = sumsOf.map(({ r, s, c, name }) => {
    const row = lanes === 1 ? `top + ${r}` : `top + ${r * lanes} + (lane ^ ${s})`;
    const guards = [
      rows % (high * lanes) === 0 ? '' : `${row} < ${rows}`,
      columns % (wide * lanes) === 0 ? '' : `${lineOf('left', c)} < ${columns}`,
    ].filter((guard) => guard !== '');
    const write = `y0(place${c} + (${row}) * ${sums.rowStride}, ${name});`;
    return guards.length === 0 ? write : `if (${guards.join(' && ')}) { ${write} }`;
  });
  return `${aNames.map((name, r) => a.prepare(name, within(lineOf('top', r), rows, high))).join('\n')}
${bNames.map((name, c) => b.prepare(name, within(lineOf('left', c), columns, wide))).join('\n')}
${sumsOf.map(({ name }) => `var ${name} = ${integer ? '0' : '0.0'};`).join('\n')}
${outer.join('\n')}
${settle}
${both((operand, name) => operand.enter?.(name))}
${loops.join('\n')}
${'}'.repeat(outer.length)}
${range(wide)
  .map((c) => `let place${c} = ${sums.place(lineOf('left', c))};`)
  .join('\n')}
${writes.join('\n')}`;
}
