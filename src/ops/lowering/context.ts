/** What lowerings ask of their node: tensors, types and constants of its inputs and outputs. */
import { AppError, invariant } from '../../core/errors';
import { isFloat } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import type { DeviceTensor, DeviceType, LoweringContext, StaticType } from './plan';

export function deviceType(dtype: DType): DeviceType {
  if (dtype === 'bool') return 'bool';
  if (isFloat(dtype)) return 'float32';
  if (dtype === 'string') {
    throw new AppError(
      'engine/unsupported',
      'Text cannot be computed with on the graphics processor.',
    );
  }
  return 'int32';
}

/** The WGSL type that holds elements of this type. */
export const wgslType = (dtype: DType): 'f32' | 'i32' =>
  deviceType(dtype) === 'float32' ? 'f32' : 'i32';

export function hasInput({ node }: LoweringContext, index: number): boolean {
  return (node.inputs[index] ?? '') !== '';
}

function inputName({ node }: LoweringContext, index: number): string {
  const name = node.inputs[index];
  invariant(name !== undefined && name !== '', `${node.name} has no input ${index}.`);
  return name;
}

export function input(context: LoweringContext, index: number): DeviceTensor {
  return context.tensor(inputName(context, index));
}

export function inputType(context: LoweringContext, index: number): StaticType {
  return context.type(inputName(context, index));
}

export function outputType(context: LoweringContext, index = 0): StaticType {
  const name = context.node.outputs[index];
  invariant(name !== undefined && name !== '', `${context.node.name} has no output ${index}.`);
  return context.type(name);
}

/** Whether anything may read this output. */
export function hasOutput({ node }: LoweringContext, index: number): boolean {
  return (node.outputs[index] ?? '') !== '';
}

/** Constant integers of an input: axes, shapes, starts and ends. */
export function constantInts(context: LoweringContext, index: number): number[] | undefined {
  const tensor = context.constant(index);
  if (tensor === undefined) return undefined;
  return Array.from(tensor.data, Number);
}

export function requireInts(context: LoweringContext, index: number): number[] {
  const values = constantInts(context, index);
  if (values === undefined) {
    throw new AppError(
      'engine/unsupported',
      `${context.node.op} "${context.node.name}" needs input ${index} to be a constant.`,
      { node: context.node.name, input: index },
    );
  }
  return values;
}

/** An `ints` attribute, or undefined where the node has none. */
export function optionalInts(node: Node, name: string): readonly number[] | undefined {
  return node.attributes.has(name) ? intsAttribute(node, name) : undefined;
}

/** The only output of a kernel. */
export function only(outputs: readonly DeviceTensor[]): DeviceTensor {
  const [first] = outputs;
  invariant(first !== undefined && outputs.length === 1, 'A kernel should have one output.');
  return first;
}
