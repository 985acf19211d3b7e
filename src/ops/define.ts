/**
 * What one operator is. `spec.ts` of an operator's folder gives an OpSpec; its lowering to tfjs stands beside
 * it in `tfjs.ts` and is never imported from here, so the registry stays free of tfjs.
 */
import type { GraphBuilder } from '../onnx/builder';
import type { Node, Tensor, TensorType } from '../onnx/graph';

/** A value of the reference interpreter: row-major, every element type held as float64 (bool as 0 or 1). */
export interface Value {
  readonly dtype: TensorType['dtype'];
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

/** One node with what is known of its inputs when shapes are inferred. */
export interface InferContext {
  readonly node: Node;
  /** `undefined` for an omitted optional input. */
  readonly inputs: readonly (TensorType | undefined)[];
  /** Value of an input that is constant, else undefined. */
  constant(index: number): Tensor | undefined;
}

/** What a gradient rule may use. It emits nodes into `builder`; shapes are static. */
export interface GradientContext {
  readonly node: Node;
  readonly builder: GraphBuilder;
  /** Gradient value name of each output; undefined where nothing flows back. */
  readonly outputGradients: readonly (string | undefined)[];
  /** Static type of any value of the forward graph. */
  type(name: string): { readonly dtype: TensorType['dtype']; readonly dims: readonly number[] };
  /** Value of an input that is constant, else undefined. */
  constant(index: number): Tensor | undefined;
  /** Whether the gradient of this input is needed by anything trainable. */
  wants(inputIndex: number): boolean;
}

/** Gradient value name of each input, in order; undefined where not wanted or not differentiable. */
export type GradientRule = (context: GradientContext) => readonly (string | undefined)[];

export type ReferenceKernel = (
  node: Node,
  inputs: readonly (Value | undefined)[],
) => readonly Value[];

/**
 * Rewrites a call of a training-only operator in standard operators, after static shape inference. Emits into
 * `builder` and returns the value names that take the place of the node's outputs.
 */
export type Expansion = (context: {
  readonly node: Node;
  readonly builder: GraphBuilder;
  type(name: string): { readonly dtype: TensorType['dtype']; readonly dims: readonly number[] };
}) => readonly string[];

export interface OpSpec {
  readonly name: string;
  /** `''` is ai.onnx. */
  readonly domain: string;
  /** Smallest and largest number of inputs. */
  readonly inputs: readonly [number, number];
  /** Types of the outputs; throws `onnx/shape` naming node, port, expected and found. */
  readonly infer: (context: InferContext) => readonly TensorType[];
  readonly reference: ReferenceKernel;
  /** Absent: not differentiable (a gradient that arrives here is an error unless nothing trainable is behind it). */
  readonly gradient?: GradientRule;
  /** Only training operators have one. */
  readonly expand?: Expansion;
}
