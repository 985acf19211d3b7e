/** Reductions from the table in src/ops/reductions. */
import { intAttribute, intsAttribute } from '../../../../ops/attributes';
import { REDUCTIONS } from '../../../../ops/reductions/table';
import { Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import { Local } from '../code';
import { expression } from '../expression';
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

export const REDUCTION_LOWERINGS: LoweringTable = Object.fromEntries(
  Object.keys(REDUCTIONS).map((name) => [name, reduction]),
);
