/**
 * What one operator is. `spec.ts` of an operator's folder gives an OpSpec; its lowering to kernels of
 * the graphics processor stands beside it in `lowering.ts` and is never imported from here: shapes and references
 * need no WGSL.
 */
import type { GraphBuilder } from '../onnx/builder';
import type { Dim, Graph, Node, Tensor, TensorType } from '../onnx/graph';

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
  /**
   * Elements of a small integer input (a shape, starts, repeats) as far as they are known: numbers, and symbolic
   * lengths that came through Shape. Undefined where nothing is known of it.
   */
  elements(index: number): readonly Dim[] | undefined;
  /** Output types of a subgraph attribute, given the types of its inputs; outer values are seen from inside. */
  subgraph(graph: Graph, inputs: readonly TensorType[]): readonly TensorType[];
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

/** For the few kernels that run subgraphs: If, Loop and Scan. */
export interface ReferenceScope {
  /** Runs a subgraph with these inputs; it also sees the values around the node. */
  run(graph: Graph, inputs: readonly Value[]): readonly Value[];
}

export type ReferenceKernel = (
  node: Node,
  inputs: readonly (Value | undefined)[],
  scope: ReferenceScope,
) => readonly Value[];

export interface ExpansionContext {
  readonly node: Node;
  readonly builder: GraphBuilder;
  type(name: string): { readonly dtype: TensorType['dtype']; readonly dims: readonly number[] };
  /** Value of an input that is constant, else undefined. */
  constant(index: number): Tensor | undefined;
}

/**
 * Rewrites a call in simpler standard operators, after static shape inference. Emits into `builder` and returns
 * the value names that take the place of the node's outputs. Executors use it where they have no kernel, and
 * `differentiate` where the operator has no gradient rule: a composite operator needs only this and a reference.
 */
export type Expansion = (context: ExpansionContext) => readonly string[];

export interface TrainingFormContext {
  readonly node: Node;
  /** Static type of any value of the forward graph. */
  type(name: string): { readonly dtype: TensorType['dtype']; readonly dims: readonly number[] };
  /** A name for a new value that no other has. */
  fresh(wanted: string): string;
}

/**
 * The node that takes another's place where a gradient goes through it: with the same first outputs, and behind
 * them what the gradient would else compute again. Undefined: the node stays as it is.
 */
export type TrainingForm = (context: TrainingFormContext) => Node | undefined;

export interface OpSpec {
  readonly name: string;
  /** `''` is ai.onnx. */
  readonly domain: string;
  /** Smallest and largest number of inputs. */
  readonly inputs: readonly [number, number];
  /** Types of the outputs; throws `onnx/shape` naming node, port, expected and found. */
  readonly infer: (context: InferContext) => readonly TensorType[];
  readonly reference: ReferenceKernel;
  /** Absent: by `expand`, and without that not differentiable (an error if something trainable is behind it). */
  readonly gradient?: GradientRule;
  /** What `differentiate` puts in its place first. */
  readonly trainingForm?: TrainingForm;
  /** Every training operator has one (but optimisers), and every operator that is a composite of others. */
  readonly expand?: Expansion;
}
