/**
 * What a lowering is: the way one operator runs on tfjs's WebGPU backend. Called once for each node when a
 * Program is compiled; what it returns runs every step. Values are plain TensorInfo, reference-counted by the
 * backend and never by tfjs's engine, so there is no tape and no tidy: the Program frees what it made.
 * Own kernels (kernel.ts) stand where tfjs is slow, inexact, rank-limited or not deterministic.
 */
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { getKernel } from '@tensorflow/tfjs-core';
import type { DataType, NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import { AppError, invariant } from '../../core/errors';
import { isFloat } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import type { Node, Tensor } from '../../onnx/graph';
import { intsAttribute } from '../attributes';

/** Kernels know tfjs's backend and tensors by these names only. */
export type Backend = WebGPUBackend;
export type { TensorInfo };

export interface StaticType {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

export interface LoweringContext {
  readonly node: Node;
  readonly backend: Backend;
  /** The GPU is emulated on the processor: barriers are dear, and threads few. */
  readonly software: boolean;
  /** Static type of any value of the graph. */
  type(name: string): StaticType;
  /** Value of an input that is constant, else undefined. */
  constant(index: number): Tensor | undefined;
}

/** An omitted optional input is undefined. The caller owns one reference to each result. */
export type Run = (inputs: readonly (TensorInfo | undefined)[]) => readonly TensorInfo[];
export type Lowering = (context: LoweringContext) => Run;
export type LoweringTable = Readonly<Record<string, Lowering>>;

/** Every float is float32 (rounded only where Cast says so); every integer is int32 on the device; bool is int32 holding 0 or 1. */
export function deviceType(dtype: DType): 'float32' | 'int32' | 'bool' {
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

export function inputType(context: LoweringContext, index: number): StaticType {
  const name = context.node.inputs[index];
  invariant(name !== undefined && name !== '', `${context.node.name} has no input ${index}.`);
  return context.type(name);
}

export function hasInput(context: LoweringContext, index: number): boolean {
  return (context.node.inputs[index] ?? '') !== '';
}

export function outputType(context: LoweringContext, index = 0): StaticType {
  const name = context.node.outputs[index];
  invariant(name !== undefined && name !== '', `${context.node.name} has no output ${index}.`);
  return context.type(name);
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

export function given(value: TensorInfo | undefined): TensorInfo {
  invariant(value !== undefined, 'A required input was not computed.');
  return value;
}

/** The same data under another shape; holds a reference of its own. */
export function alias(backend: Backend, x: TensorInfo, dims: readonly number[]): TensorInfo {
  backend.incRef(x.dataId);
  return { dataId: x.dataId, shape: [...dims], dtype: x.dtype };
}

/** Runs a kernel of tfjs itself. */
export function tfjsKernel(
  backend: Backend,
  name: string,
  inputs: NamedTensorInfoMap | TensorInfo[],
  attrs: NamedAttrMap,
): TensorInfo {
  const kernel = getKernel(name, 'webgpu');
  // Concat alone takes a list; tfjs types its inputs as a map all the same.
  const result = kernel.kernelFunc({ inputs: inputs as NamedTensorInfoMap, attrs, backend });
  const first = Array.isArray(result) ? result[0] : result;
  invariant(first !== undefined, `The tfjs kernel ${name} gave nothing.`);
  return first;
}

export const tfjsType = (dtype: DType): DataType => deviceType(dtype);

/** An `ints` attribute, or undefined where the node has none. */
export function optionalInts(node: Node, name: string): readonly number[] | undefined {
  return node.attributes.has(name) ? intsAttribute(node, name) : undefined;
}
