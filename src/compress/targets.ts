/**
 * Chooses what is quantised: Conv, Gemm and MatMul whose weights are float32 initialisers. Everything else,
 * the recipe's Cast, Where and OneHot first of all, stays as it is; and each layer left in float says why.
 */
import { sizeOf } from '../core/dtype';
import type { Graph, Node, Tensor } from '../onnx/graph';

export interface Target {
  readonly node: Node;
  readonly kind: 'Conv' | 'Gemm' | 'MatMul';
  /** The activation that enters. */
  readonly input: string;
  readonly weight: Float32Array;
  readonly weightDims: readonly number[];
  /** Axis of the weight that counts output channels. */
  readonly axis: number;
  readonly channels: number;
  /** One value an output channel, or null. */
  readonly bias: Float32Array | null;
}

export interface TargetChoice {
  readonly targets: readonly Target[];
  /** In words: which layer stays in float, and why. */
  readonly left: readonly string[];
}

/** Below this many weights the scales and extra nodes take more bytes than int8 saves. */
const MIN_WEIGHTS = 256;

export function chooseTargets(graph: Graph): TargetChoice {
  const found: Target[] = [];
  const left: string[] = [];
  for (const node of graph.nodes) {
    if (node.domain !== '' || !['Conv', 'Gemm', 'MatMul'].includes(node.op)) continue;
    const target = asTarget(graph, node);
    if (typeof target === 'string') left.push(`${node.name} (${target})`);
    else found.push(target);
  }
  const large = found.filter((target) => target.weight.length >= MIN_WEIGHTS);
  if (large.length === 0) return { targets: found, left };
  for (const { node, weight } of found)
    if (weight.length < MIN_WEIGHTS)
      left.push(
        `${node.name} (${weight.length} weights: as int8 it would take more bytes, not fewer)`,
      );
  return { targets: large, left };
}

function asTarget(graph: Graph, node: Node): Target | string {
  const [input, weightName, biasName] = node.inputs;
  const weight = floats(graph, weightName);
  if (input === undefined || !weight) return 'its weights are computed, not stored';
  const common = { node, input, weight: weight.data, weightDims: weight.dims };
  const { dims } = weight;
  if (node.op === 'MatMul') {
    if (dims.length !== 2) return 'its weights are not a matrix';
    return { ...common, kind: 'MatMul', axis: 1, channels: dims[1] ?? 0, bias: null };
  }
  const axis = node.op === 'Gemm' && intOf(node, 'transB', 0) === 0 ? 1 : 0;
  const channels = dims[axis] ?? 0;
  if (node.op === 'Gemm') {
    const plain =
      intOf(node, 'transA', 0) === 0 && floatOf(node, 'alpha') === 1 && floatOf(node, 'beta') === 1;
    if (!plain) return 'it transposes or scales its input';
  }
  let bias: Float32Array | null = null;
  if (biasName) {
    const tensor = floats(graph, biasName);
    if (tensor?.data.length !== channels) return 'its bias is not one value a channel';
    bias = tensor.data;
  }
  return { ...common, kind: node.op === 'Conv' ? 'Conv' : 'Gemm', axis, channels, bias };
}

function floats(graph: Graph, name: string | undefined): (Tensor & { data: Float32Array }) | null {
  const tensor = name === undefined ? undefined : graph.initializers.get(name);
  if (tensor?.dtype !== 'float32' || !(tensor.data instanceof Float32Array)) return null;
  return sizeOf(tensor.dims) === 0 ? null : { ...tensor, data: tensor.data };
}

export function intOf(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.type === 'int' ? attribute.value : fallback;
}

function floatOf(node: Node, name: string): number {
  const attribute = node.attributes.get(name);
  return attribute?.type === 'float' ? attribute.value : 1;
}
