/**
 * Makes a model that others exported ready to learn: every weight a named float32 initialiser, as the trainer's
 * State wants it. Values stay what they are; only how they are written down changes.
 */
import { ownValue } from '../core/own-value';
import { DTYPE_CODE, isFloat } from '../core/dtype';
import { pruneUnused } from '../onnx/compose';
import { attr } from '../onnx/graph';
import type { Attribute, Graph, Node, Tensor, TensorType } from '../onnx/graph';
import { halfToNumber } from '../core/number-format';
import { intAttribute } from '../ops/attributes';
import { valueOf } from '../ops/value';

/** Attributes that name an element type by its number. */
const TYPE_ATTRIBUTES: Readonly<Record<string, string>> = {
  Cast: 'to',
  EyeLike: 'dtype',
  RandomNormalLike: 'dtype',
  RandomUniformLike: 'dtype',
};

let halves: Float32Array | null = null;

/** Each of the 65,536 half-precision numbers: models hold millions, and reading bits takes longer than looking up. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => halfToNumber(bits));
  return halves;
}

/** Float tensors of any width as float32; others as they are. */
export function widened(tensor: Tensor): Tensor {
  if (tensor.dtype === 'float32' || !isFloat(tensor.dtype)) return tensor;
  if (tensor.dtype === 'float16' && tensor.data instanceof Uint16Array) {
    const table = halfTable();
    const data = new Float32Array(tensor.data.length);
    for (let i = 0; i < data.length; i++) data[i] = table[tensor.data[i] as number] as number;
    return { dtype: 'float32', dims: tensor.dims, data };
  }
  return { dtype: 'float32', dims: tensor.dims, data: Float32Array.from(valueOf(tensor).data) };
}

function widenedType<T extends TensorType>(type: T): T {
  return isFloat(type.dtype) ? { ...type, dtype: 'float32' } : type;
}

function widenedNode(node: Node): Node {
  const attributes = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes) {
    if (attribute.type === 'tensor') attributes.set(name, attr.tensor(widened(attribute.value)));
    else if (attribute.type === 'graph')
      attributes.set(name, attr.graph(asFloat32(attribute.value)));
    else if (name === ownValue(TYPE_ATTRIBUTES, node.op) && isWide(attribute)) {
      attributes.set(name, attr.int(DTYPE_CODE.float32));
    } else attributes.set(name, attribute);
  }
  return { ...node, attributes };
}

function isWide(attribute: Attribute): boolean {
  return Object.entries(DTYPE_CODE).some(
    ([dtype, code]) => code === attribute.value && isFloat(dtype as keyof typeof DTYPE_CODE),
  );
}

/** The same graph computing in float32 throughout: half and double weights, inputs and casts are float32 ones. */
export function asFloat32(graph: Graph): Graph {
  const types = [...graph.inputs, ...graph.initializers.values()].map(({ dtype }) => dtype);
  const casts = graph.nodes.some(
    (node) => node.op === 'Cast' && intAttribute(node, 'to') !== DTYPE_CODE.float32,
  );
  const constants = graph.nodes.some(({ attributes }) =>
    [...attributes.values()].some(({ type }) => type === 'tensor' || type === 'graph'),
  );
  const mixed = types.some((dtype) => isFloat(dtype) && dtype !== 'float32');
  if (!mixed && !casts && !constants) return graph;
  return {
    ...graph,
    inputs: graph.inputs.map(widenedType),
    outputs: graph.outputs.map(widenedType),
    nodes: graph.nodes.map(widenedNode),
    initializers: new Map([...graph.initializers].map(([name, each]) => [name, widened(each)])),
    valueInfo: new Map([...graph.valueInfo].map(([name, type]) => [name, widenedType(type)])),
  };
}

function constantOf(node: Node): Tensor | undefined {
  const value = node.attributes.get('value');
  if (value?.type === 'tensor') return value.value;
  const float = node.attributes.get('value_float');
  if (float?.type === 'float') {
    return { dtype: 'float32', dims: [], data: Float32Array.of(float.value) };
  }
  const floats = node.attributes.get('value_floats');
  if (floats?.type === 'floats') {
    return { dtype: 'float32', dims: [floats.value.length], data: Float32Array.from(floats.value) };
  }
  const int = node.attributes.get('value_int');
  if (int?.type === 'int') {
    return { dtype: 'int64', dims: [], data: BigInt64Array.of(BigInt(int.value)) };
  }
  const ints = node.attributes.get('value_ints');
  if (ints?.type === 'ints') {
    return {
      dtype: 'int64',
      dims: [ints.value.length],
      data: BigInt64Array.from(ints.value, BigInt),
    };
  }
  return undefined;
}

/** Identity, and casts between floats, which are all of one type here. */
function passes(node: Node): boolean {
  if (node.domain !== '') return false;
  const to = node.attributes.get('to');
  return node.op === 'Identity' || (node.op === 'Cast' && to !== undefined && isWide(to));
}

/**
 * Constant nodes become initialisers. So does the Identity of an initialiser (PyTorch stores equal weights once and
 * gives the others their names so, though they learn apart) and the Cast of a weight that is stored in less space.
 * Initialisers that old files list as inputs too are inputs no longer.
 */
export function hoistConstants(graph: Graph): Graph {
  const initializers = new Map(graph.initializers);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const nodes = graph.nodes.filter((node) => {
    const [output = ''] = node.outputs;
    if (outputs.has(output)) return true;
    const same = passes(node) ? initializers.get(node.inputs[0] ?? '') : undefined;
    const constant = node.op === 'Constant' ? constantOf(node) : same && widened(same);
    if (constant) initializers.set(output, constant);
    return !constant;
  });
  const inputs = graph.inputs.filter(({ name }) => !initializers.has(name));
  return { ...graph, inputs, nodes, initializers };
}

/** Ready to be cut and taught: float32 throughout, weights are named initialisers, and nothing is there unused. */
export function prepareForeign(graph: Graph): Graph {
  return pruneUnused(hoistConstants(asFloat32(graph)));
}
