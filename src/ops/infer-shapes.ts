/**
 * Types of all values of a graph. With `batch` given, the symbolic dimensions of the inputs become that number
 * and everything is static; without, symbols pass through. Small constant branches (Shape -> Gather -> Concat ->
 * Reshape, as exporters write them) are evaluated on the reference kernels.
 */
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import type { Graph, Node, Tensor, TensorType } from '../onnx/graph';
import type { OpSpec, ReferenceScope } from './define';
import { requireOp } from './registry';
import { isStatic, shapeText } from './shapes';
import { numbersOf, tensorOf, valueOf } from './value';

export interface InferOptions {
  /** Stands for every symbolic dimension. */
  readonly batch?: number;
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
  if (inputs.some((tensor) => tensor?.dtype === 'string')) return undefined;
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
  const { batch } = options;
  for (const { name, dtype, dims } of graph.inputs) {
    const known = dims.map((dim) => (typeof dim === 'string' ? (batch ?? dim) : dim));
    types.set(name, { dtype, dims: known });
  }
  return inferWithin(graph, types, new Map());
}

/** `types` and `known`: what is seen from inside, graph inputs and all that surrounds a subgraph. Both grow. */
function inferWithin(
  graph: Graph,
  types: Map<string, TensorType>,
  known: Map<string, Tensor>,
): Inference {
  const constants = known;
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
        { node: node.name, value: name },
      );
    });
    const outputs = spec.infer({
      node,
      inputs,
      constant: (index) => constants.get(node.inputs[index] ?? ''),
      elements(index) {
        const tensor = constants.get(node.inputs[index] ?? '');
        return tensor && numbersOf(tensor);
      },
      subgraph: (inner, given) => subgraphTypes(inner, given, types, constants),
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
  }
  return { types, constants };
}

function subgraphTypes(
  graph: Graph,
  given: readonly TensorType[],
  types: ReadonlyMap<string, TensorType>,
  constants: ReadonlyMap<string, Tensor>,
): TensorType[] {
  const inside = new Map(types);
  graph.inputs.forEach(({ name, dtype, dims }, index) =>
    inside.set(name, given[index] ?? { dtype, dims }),
  );
  const inferred = inferWithin(graph, inside, new Map(constants));
  return graph.outputs.map(({ name, dtype, dims }) => inferred.types.get(name) ?? { dtype, dims });
}

export function inferShapes(graph: Graph, options: InferOptions = {}): Map<string, TensorType> {
  return new Map(infer(graph, options).types);
}

/** The graph with inputs and outputs of the inferred types and `valueInfo` filled. */
export function withShapes(graph: Graph, options: InferOptions = {}): Graph {
  const types = inferShapes(graph, options);
  const typed = <T extends TensorType & { readonly name: string }>(info: T): T => ({
    ...info,
    ...types.get(info.name),
  });
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
      { value: name, dims: type.dims },
    );
  }
  return { dtype: type.dtype, dims: type.dims };
}
