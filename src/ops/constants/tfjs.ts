/** ConstantOfShape and Range on the graphics processor: those too long to be settled when a graph is compiled. */
import { f32, kernel } from '../lowering/kernel';
import { deviceType, outputType, requireInts } from '../lowering/tfjs';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/tfjs';
import { valueOf } from '../value';
import { fillOf } from './spec';

/** A kernel that reads nothing: each element follows from its index. */
function fromIndex(context: LoweringContext, element: string): ReturnType<Lowering> {
  const run = kernel(context.backend, {
    label: context.node.op,
    output: outputType(context),
    inputCount: 0,
    body: `  result[index] = ${element};`,
  });
  return () => [run([])];
}

/** WGSL of one number in the output's type. */
function literal(context: LoweringContext, value: number): string {
  if (deviceType(outputType(context).dtype) !== 'float32') return `i32(${value})`;
  // WGSL has no literal for these; tfjs passes them in.
  if (Number.isNaN(value)) return 'uniforms.NAN';
  if (!Number.isFinite(value)) return value > 0 ? 'uniforms.INFINITY' : '-uniforms.INFINITY';
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
  const whole = deviceType(outputType(context).dtype) !== 'float32';
  const steps = `${whole ? 'index' : 'f32(index)'} * ${literal(context, delta)}`;
  return fromIndex(context, `${literal(context, start)} + ${steps}`);
};

export const CONSTANTS: LoweringTable = { ConstantOfShape: constantOfShape, Range: range };
