/**
 * Sums of products by workgroups: a tile of each operand at a time is brought into shared memory, where each element
 * serves a whole row or column of threads. For hardware; on an emulated GPU barriers cost more than they save.
 *
 * Shared memory holds groups of four lines, so that one access brings four numbers; rows of it are one group longer
 * than needed, or threads that write side by side would wait for the same bank. Sums run along the inner axis in order.
 */
import { only, wgslType } from '../lowering/context';
import type { DeviceTensor, PlanBuilder } from '../lowering/plan';
import type { Operand, Sums } from './registers';

const DEPTH = 16;
const THREADS = 64;
const ACROSS = 8;

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

export function sumsInTiles(plan: PlanBuilder, sums: Sums, lines: 32 | 64): DeviceTensor {
  const { label, inputs, output, rows, columns, batch, parts = 1, length } = sums;
  const type = wgslType(output.dtype);
  // Factors with sixteen bits, sums with 32: half the shared memory, and twice the rate where a GPU has it.
  const factor = plan.halfFactors && type === 'f32' ? 'f16' : type;
  const across = Math.ceil(columns / lines);
  const down = Math.ceil(rows / lines);
  const groups = lines / 4;
  const pitch = groups + 1;
  const halves = range(lines / 32);
  const loadA = loader('a', sums.a, { type, factor, lines, limit: rows, start: 'top', length });
  const loadB = loader('b', sums.b, { type, factor, lines, limit: columns, start: 'left', length });
  const totals = halves.flatMap((h) =>
    range(4).flatMap((r) => halves.map((w) => ({ h, r, w, name: `t${h}_${r}_${w}` }))),
  );
  const writes = totals.flatMap(({ h, r, w, name }) =>
    range(4).map((c) => {
      const row = `top + ${h * 32 + r} + down * 4`;
      const column = `left + ${w * 32 + c} + across * 4`;
      const guards = [
        rows % lines === 0 ? '' : `${row} < ${rows}`,
        columns % lines === 0 ? '' : `${column} < ${columns}`,
      ].filter((guard) => guard !== '');
      const write = `y0(${sums.place(`(${column})`)} + (${row}) * ${sums.rowStride}, ${name}[${c}]);`;
      return guards.length === 0 ? write : `if (${guards.join(' && ')}) { ${write} }`;
    }),
  );
  return only(
    plan.kernel({
      label,
      inputs,
      outputs: [output],
      work: batch * parts * rows * columns * length,
      workgroups: { count: batch * parts * down * across, size: THREADS },
      declarations: `var<workgroup> rows_here: array<vec4<${factor}>, ${DEPTH * pitch}>;
var<workgroup> columns_here: array<vec4<${factor}>, ${DEPTH * pitch}>;`,
      body: `  let left = (group % ${across}) * ${lines};
  let top = ((group / ${across}) % ${down}) * ${lines};
  let n = (group / ${across * down}) % ${batch};
  let part = group / ${across * down * batch};
  let across = local % ${ACROSS};
  let down = local / ${ACROSS};
${loadA.prepare}
${loadB.prepare}
${totals.map(({ name }) => `  var ${name} = vec4<${type}>();`).join('\n')}
  for (var tile = 0; tile < ${Math.ceil(length / DEPTH)}; tile++) {
    let first = tile * ${DEPTH};
${loadA.load('rows_here', pitch)}
${loadB.load('columns_here', pitch)}
    workgroupBarrier();
    for (var k = 0; k < ${DEPTH}; k++) {
${halves.map((h) => `      let p${h} = rows_here[k * ${pitch} + ${h * 8} + down];`).join('\n')}
${halves.map((w) => `      let q${w} = columns_here[k * ${pitch} + ${w * 8} + across];`).join('\n')}
${totals.map(({ h, r, w, name }) => `      ${name} += vec4<${type}>(p${h}[${r}] * q${w});`).join('\n')}
    }
    workgroupBarrier();
  }
${writes.join('\n')}`,
    }),
  );
}

interface Loading {
  readonly type: 'f32' | 'i32';
  readonly factor: 'f16' | 'f32' | 'i32';
  readonly lines: number;
  readonly limit: number;
  readonly start: string;
  readonly length: number;
}

/** Neighbouring threads load neighbours in memory; each brings four lines of one depth. */
function loader(
  name: string,
  side: Operand,
  { type, factor, lines, limit, start, length }: Loading,
) {
  const groups = lines / 4;
  const rounds = range((groups * DEPTH) / THREADS);
  const alongLines = side.along === 'line';
  const slotOf = (round: number): readonly [group: string, depth: string] =>
    alongLines
      ? [`local % ${groups}`, `local / ${groups} + ${(round * THREADS) / groups}`]
      : [`local / ${DEPTH} + ${(round * THREADS) / DEPTH}`, `local % ${DEPTH}`];
  // Along the lines, a thread's lines are the same in every round.
  const prepared = alongLines ? [0] : rounds;
  const lineOf = (round: number, r: number): string =>
    `(${start} + (${slotOf(round)[0]}) * 4 + ${r})`;
  const within = (line: string): string =>
    limit % lines === 0 ? line : `min(${line}, ${limit - 1})`;
  const prepare = prepared.flatMap((round) =>
    range(4).map((r) => side.prepare(`${name}${round}_${r}`, within(lineOf(round, r)))),
  );
  const load = (shared: string, pitch: number): string =>
    rounds
      .map((round) => {
        const [group, depth] = slotOf(round);
        const at = `${name}${round}_at`;
        const of = alongLines ? 0 : round;
        const loads = range(4).map((r) => side.element(`${name}${of}_${r}`, at));
        const reads = `${loads.map(({ lets }) => lets).join('\n')}
      ${name}${round} = vec4<${type}>(${loads.map(({ value }) => value).join(', ')});`;
        return `    let ${at} = first + ${depth};
    var ${name}${round} = vec4<${type}>();
    ${length % DEPTH === 0 ? `{ ${reads} }` : `if (${at} < ${length}) { ${reads} }`}
    ${shared}[(${depth}) * ${pitch} + ${group}] = vec4<${factor}>(${name}${round});`;
      })
      .join('\n');
  return { prepare: prepare.join('\n'), load };
}
