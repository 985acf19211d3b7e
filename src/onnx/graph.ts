/**
 * The in-memory ONNX model: the one model type of the studio. Plain data; transforms make a new Graph and
 * share what they do not change. Weights are views on the bytes they were read from, never copies.
 * Subgraphs (If, Loop, Scan) are attributes and see the values of the graph around them. Model-local functions are
 * inlined by the reader, so there are none here; external data are views on the files that came along.
 */
import type { DType, TensorArray } from '../core/dtype';

export const INTERNAL_OPSET = 23;
/** Domain of the operators that exist only while a model learns; never part of a ModelVersion. */
export const TRAINING_DOMAIN = 'terrarium.training';

export interface Tensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: TensorArray;
}

/** A static length, or the name of a symbolic one (`batch`). */
export type Dim = number | string;

export interface TensorType {
  readonly dtype: DType;
  readonly dims: readonly Dim[];
}

export interface ValueInfo extends TensorType {
  readonly name: string;
  /**
   * What the file leaves open: in subgraphs often the whole type, for outputs the number of axes. `dtype` and `dims`
   * are placeholders then, shape inference has the true ones, and the file that is written leaves them open too.
   */
  readonly open?: 'type' | 'shape';
}

export type Attribute =
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] };

export interface Node {
  /** Unique in its graph. */
  readonly name: string;
  readonly op: string;
  /** `''` is ai.onnx. */
  readonly domain: string;
  /** Value names; `''` is an omitted optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  /** Node for whose sake a transform made this one: its expansion, its gradient. Never part of a file. */
  readonly origin?: string;
}

export interface Graph {
  readonly name: string;
  readonly opsets: ReadonlyMap<string, number>;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  /** In an order in which each node's inputs are already known. */
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Types of inner values where they are known (shape inference fills it). */
  readonly valueInfo: ReadonlyMap<string, TensorType>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly docString: string;
}

export const attr = {
  int: (value: number): Attribute => ({ type: 'int', value }),
  float: (value: number): Attribute => ({ type: 'float', value }),
  string: (value: string): Attribute => ({ type: 'string', value }),
  tensor: (value: Tensor): Attribute => ({ type: 'tensor', value }),
  ints: (value: readonly number[]): Attribute => ({ type: 'ints', value }),
  floats: (value: readonly number[]): Attribute => ({ type: 'floats', value }),
  strings: (value: readonly string[]): Attribute => ({ type: 'strings', value }),
  graph: (value: Graph): Attribute => ({ type: 'graph', value }),
};
