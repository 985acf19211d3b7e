/**
 * Types of all values of a graph. With `batch` given, the symbolic dimensions of the inputs become that number
 * and everything is static; without, symbols pass through. Small branches that compute shapes (Shape -> Gather ->
 * Concat -> Reshape, as exporters write them) are evaluated: on the reference kernels where all is constant, as
 * symbolic lengths (shape-values.ts) where it is not.
 */
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import { encodeNumbers } from '../core/number-format';
import { evaluateDim } from '../onnx/dim';
import type { Graph, Node, Tensor, TensorType, ValueInfo } from '../onnx/graph';
import { constantTensor } from './constants/spec';
import type { OpSpec, ReferenceScope } from './define';
import { requireOp } from './registry';
import { ELEMENT_LIMIT, shapeValues } from './shape-values';
import type { Elements } from './shape-values';
import { isStatic, shapeText } from './shapes';
import { checkTypes } from './type-rules';
import { numbersOf, tensorOf, valueOf } from './value';

export interface InferOptions {
  /** Stands for every symbolic dimension. */
  readonly batch?: number;
  /** Values of symbolic dimensions by name; before `batch`. */
  readonly dims?: ReadonlyMap<string, number>;
}

export interface StaticType {
  readonly dtype: TensorType['dtype'];
  readonly dims: readonly number[];
}

export interface Inference {
  readonly types: ReadonlyMap<string, TensorType>;
  /** Values known without running: initialisers, Constant nodes and what follows from them. */
  readonly constants: ReadonlyMap<string, Tensor>;
}

/** Constants longer than this are weights, not shapes. */
const FOLD_LIMIT = 1024;

const NO_SUBGRAPHS: ReferenceScope = {
  run: () => {
    throw new AppError('internal/invariant', 'A node with subgraphs is not folded.');
  },
};

/** The value of a small node whose inputs are all known (or whose input's shape is, for Shape). */
function fold(
  node: Node,
  spec: OpSpec,
  outputs: readonly TensorType[],
  types: ReadonlyMap<string, TensorType>,
  constants: ReadonlyMap<string, Tensor>,
): readonly Tensor[] | undefined {
  if (node.op === 'Constant' && node.domain === '') return [constantTensor(node)];
  // Its work grows with the product of its inputs, which a short file can make very large.
  if (node.op === 'Einsum') return undefined;
  if ([...node.attributes.values()].some(({ type }) => type === 'graph')) return undefined;
  if (!outputs.every(({ dims }) => isStatic(dims) && sizeOf(dims) <= FOLD_LIMIT)) return undefined;
  if (node.op === 'Shape' && node.domain === '') {
    const dims = types.get(node.inputs[0] ?? '')?.dims;
    if (!dims || !isStatic(dims)) return undefined;
    // Only the shape is read, so the value may be empty.
    return spec
      .reference(node, [{ dtype: 'float32', dims, data: new Float64Array(0) }], NO_SUBGRAPHS)
      .map(tensorOf);
  }
  const inputs = node.inputs.map((name) => constants.get(name));
  if (inputs.some((tensor, index) => !tensor && node.inputs[index] !== '')) return undefined;
  if ([...inputs, ...outputs].some((type) => type?.dtype === 'string')) return undefined;
  if (inputs.some((tensor) => tensor && sizeOf(tensor.dims) > FOLD_LIMIT)) return undefined;
  return spec
    .reference(
      node,
      inputs.map((tensor) => tensor && valueOf(tensor)),
      NO_SUBGRAPHS,
    )
    .map(tensorOf);
}

export function infer(graph: Graph, options: InferOptions = {}): Inference {
  const types = new Map<string, TensorType>();
  const { batch, dims: given = new Map<string, number>() } = options;
  for (const { name, dtype, dims } of graph.inputs) {
    const known = dims.map((dim) => evaluateDim(dim, given) ?? batch ?? dim);
    types.set(name, { dtype, dims: known });
  }
  return inferWithin(graph, { types, constants: new Map(), elements: new Map() });
}

/** What is seen from one place of a graph. */
interface Sight {
  readonly types: Map<string, TensorType>;
  readonly constants: Map<string, Tensor>;
  /** Of small integer values that are not constant. */
  readonly elements: Map<string, Elements>;
}

/** `sight`: graph inputs and all that surrounds a subgraph. It grows. */
function inferWithin(graph: Graph, sight: Sight): Inference {
  const { types, constants } = sight;
  for (const [name, tensor] of graph.initializers) constants.set(name, tensor);
  for (const [name, { dtype, dims }] of graph.initializers) types.set(name, { dtype, dims });
  for (const node of graph.nodes) {
    const spec = requireOp(node);
    const inputs = node.inputs.map((name) => {
      if (name === '') return undefined;
      const type = types.get(name);
      if (type) return type;
      throw new AppError(
        'onnx/graph',
        `Node "${node.name}" (${node.op}) reads "${name}", which nothing before it makes.`,
        { node: node.name, op: node.op, value: name, expected: 'a known value', found: name },
      );
    });
    checkTypes(node, inputs);
    const outputs = spec.infer({
      node,
      inputs,
      constant: (index) => constants.get(node.inputs[index] ?? ''),
      elements: (index) => elementsOf(node.inputs[index] ?? '', sight),
      subgraph: (inner, given) => subgraphTypes(inner, given, sight),
    });
    node.outputs.forEach((name, index) => {
      const type = outputs[index];
      if (name !== '' && type) types.set(name, { dtype: type.dtype, dims: type.dims });
    });
    const folded = fold(node, spec, outputs, types, constants);
    folded?.forEach((tensor, index) => {
      const name = node.outputs[index];
      if (name) constants.set(name, tensor);
    });
    if (!folded) keepElements(node, inputs, outputs, sight);
  }
  return { types, constants };
}

function elementsOf(name: string, { constants, elements }: Sight): Elements | undefined {
  const tensor = constants.get(name);
  if (!tensor) return elements.get(name);
  const isSmall = tensor.dtype !== 'string' && sizeOf(tensor.dims) <= ELEMENT_LIMIT;
  return isSmall ? numbersOf(tensor) : undefined;
}

/** Remembers what is known of a computed shape; a value of which every element is a number is a constant. */
function keepElements(
  node: Node,
  inputs: readonly (TensorType | undefined)[],
  outputs: readonly TensorType[],
  sight: Sight,
): void {
  const elements = (index: number) => elementsOf(node.inputs[index] ?? '', sight);
  shapeValues({ node, inputs, outputs, elements })?.forEach((own, index) => {
    const name = node.outputs[index];
    const type = outputs[index];
    if (!name || !own || !type || !isStatic(type.dims) || sizeOf(type.dims) !== own.length) return;
    const { dtype, dims } = type;
    const numbers = own.filter((dim) => typeof dim === 'number');
    if (dtype !== 'string' && numbers.length === own.length) {
      sight.constants.set(name, { dtype, dims, data: encodeNumbers(dtype, numbers) });
    } else sight.elements.set(name, own);
  });
}

function subgraphTypes(graph: Graph, given: readonly TensorType[], outer: Sight): TensorType[] {
  const inside: Sight = {
    types: new Map(outer.types),
    constants: new Map(outer.constants),
    elements: new Map(outer.elements),
  };
  graph.inputs.forEach(({ name, dtype, dims }, index) => {
    inside.types.set(name, given[index] ?? { dtype, dims });
    inside.constants.delete(name);
    inside.elements.delete(name);
  });
  const inferred = inferWithin(graph, inside);
  return graph.outputs.map(({ name, dtype, dims }) => inferred.types.get(name) ?? { dtype, dims });
}

export function inferShapes(graph: Graph, options: InferOptions = {}): Map<string, TensorType> {
  return new Map(infer(graph, options).types);
}

/** The graph with inputs and outputs of the inferred types and `valueInfo` filled. */
export function withShapes(graph: Graph, options: InferOptions = {}): Graph {
  const types = inferShapes(graph, options);
  // What the file left open is known now.
  const typed = (info: ValueInfo): ValueInfo => {
    const type = types.get(info.name);
    return type ? { name: info.name, dtype: type.dtype, dims: type.dims } : info;
  };
  const inner = new Map<string, TensorType>();
  for (const node of graph.nodes) {
    for (const name of node.outputs) {
      const type = types.get(name);
      if (type) inner.set(name, type);
    }
  }
  return {
    ...graph,
    inputs: graph.inputs.map(typed),
    outputs: graph.outputs.map(typed),
    valueInfo: inner,
  };
}

/** The type of a value, which must be static. */
export function staticType(types: ReadonlyMap<string, TensorType>, name: string): StaticType {
  const type = types.get(name);
  if (!type) throw new AppError('onnx/graph', `The graph has no value "${name}".`, { value: name });
  if (!isStatic(type.dims)) {
    throw new AppError(
      'onnx/shape',
      `The shape ${shapeText(type.dims)} of "${name}" must be fixed here. Give a batch size.`,
      { value: name, dims: type.dims, expected: 'fixed lengths', found: shapeText(type.dims) },
    );
  }
  return { dtype: type.dtype, dims: type.dims };
}
