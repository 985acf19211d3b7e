/** Reductions from the table in src/ops/reductions. */
import { intAttribute, intsAttribute } from '../../../../ops/attributes';
import { REDUCTIONS } from '../../../../ops/reductions/table';
import { raise, Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import { f32x4, Local } from '../code';
import { expression } from '../expression';
import { exp, log } from '../math';
import { FunctionWriter } from '../module';
import { reducible, reductionKernel } from '../reduce';
import type { Reduction } from '../reduce';
import { whole } from '../view';

function axesOf(call: Call, rank: number): number[] {
  const given = call.constants(1) ?? intsAttribute(call.node, 'axes', []);
  if (given.length === 0) {
    return intAttribute(call.node, 'noop_with_empty_axes', 0)
      ? []
      : Array.from({ length: rank }, (_, axis) => axis);
  }
  return given.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);
}

function readable(text: string | undefined, names: readonly string[]): void {
  if (text === undefined) return;
  const x = new Local(0).get;
  const known = new Map(names.map((name) => [name, { kind: 'float', code: x } as const]));
  if (expression(new FunctionWriter([]), text, known, 'float') === undefined) {
    throw new Unsupported(text);
  }
}

/** Reduces any view, by way of a copy where it must be turned first. */
export function reduce(call: Call, reduction: Reduction): void {
  const given = reducible(reduction)
    ? reduction
    : { ...reduction, input: call.contiguous(reduction.input) };
  if (!reducible(given)) throw new Unsupported('a reduction');
  call.plan.kernel(reductionKernel(given));
}

const reduction: Lowering = (call) => {
  const entry = REDUCTIONS[call.node.op];
  const input = call.input(0);
  if (!entry?.wgsl || input.kind !== 'float') throw new Unsupported(call.node.op);
  const { combine, element, finish } = entry.wgsl;
  readable(element, ['x']);
  readable(finish, ['total', 'count']);
  const axes = axesOf(call, input.dims.length);
  if (axes.length === 0) throw new Unsupported(call.node.op);
  const kept = input.dims.filter((_, axis) => !axes.includes(axis));
  const output = call.output();
  const flat = whole(output.buffer, kept, 'float');
  reduce(call, { name: call.node.op, input, axes, output: flat, combine, element, finish });
};

/** max + ln Σ exp(x − max) */
const logSumExp: Lowering = (call) => {
  const input = call.input(0);
  const axes = axesOf(call, input.dims.length);
  if (axes.length === 0 || input.kind !== 'float') throw new Unsupported(call.node.op);
  const kept = input.dims.filter((_, axis) => !axes.includes(axis));
  const wide = input.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const [max, sum] = [call.temporary(kept), call.temporary(kept)];
  const terms = call.temporary(input.dims);
  reduce(call, { name: 'ReduceMax', input, axes, output: max, combine: 'max' });
  call.pointwise([input, whole(max.buffer, wide, 'float')], terms, (writer, [x, m]) => {
    const shifted = writer.vector();
    const difference = f32x4.sub((x ?? raise()).code, (m ?? raise()).code);
    return { kind: 'float', code: [...shifted.set(difference), ...exp(writer, shifted)] };
  });
  reduce(call, { name: 'ReduceSum', input: terms, axes, output: sum, combine: 'sum' });
  const output = call.output();
  const [s, m] = [sum, max].map(({ buffer }) => whole(buffer, output.dims, 'float'));
  call.pointwise([s ?? raise(), m ?? raise()], output, (writer, [total, most]) => {
    const local = writer.vector();
    const logarithm = [...local.set((total ?? raise()).code), ...log(writer, local)];
    return { kind: 'float', code: f32x4.add(logarithm, (most ?? raise()).code) };
  });
};

export const REDUCTION_LOWERINGS: LoweringTable = {
  ...Object.fromEntries(Object.keys(REDUCTIONS).map((name) => [name, reduction])),
  ReduceLogSumExp: logSumExp,
};
