/** ConstantOfShape and Range on the graphics processor: those too long to be settled when a graph is compiled. */
import { f32 } from '../lowering/address';
import { outputType, requireInts, wgslType } from '../lowering/context';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/plan';
import { valueOf } from '../value';
import { fillOf } from './spec';

/** Reads nothing: each element follows from its index. */
function fromIndex(context: LoweringContext, value: string): ReturnType<Lowering> {
  const { plan, node } = context;
  return [plan.pointwise({ label: node.op, inputs: [], output: outputType(context), value })];
}

/** WGSL of one number in the output's type. */
function literal(context: LoweringContext, value: number): string {
  if (wgslType(outputType(context).dtype) === 'i32') {
    return `i32(${Math.min(Math.max(value, -2147483648), 2147483647)})`;
  }
  if (Number.isNaN(value)) return 'nan()';
  if (!Number.isFinite(value)) return value > 0 ? 'infinity()' : '-infinity()';
  return f32(value);
}

const constantOfShape: Lowering = (context) =>
  fromIndex(context, literal(context, fillOf(context.node).data[0] ?? 0));

const range: Lowering = (context) => {
  const [start = 0, delta = 1] = [0, 2].map((index) => {
    requireInts(context, index);
    const known = context.constant(index);
    return known && valueOf(known).data[0];
  });
  const whole = wgslType(outputType(context).dtype) === 'i32';
  const steps = `${whole ? 'index' : 'f32(index)'} * ${literal(context, delta)}`;
  return fromIndex(context, `${literal(context, start)} + ${steps}`);
};

export const CONSTANTS: LoweringTable = { ConstantOfShape: constantOfShape, Range: range };
