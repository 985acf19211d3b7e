/**
 * Folds BatchNormalization into the convolution before it, so that one int8 layer does the work of both:
 *   g = scale / sqrt(var + epsilon),   W' = g W (per output channel),   b' = (b - mean) g + bias
 * Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
 * Integer-Arithmetic-Only Inference", section 3.2.
 */
import type { Graph, Node, Tensor } from '../onnx/graph';
import { intOf } from './targets';
import { dropUnused, readersOf } from './tidy';

export interface Folded {
  readonly graph: Graph;
  readonly count: number;
}

export function foldBatchNorm(graph: Graph): Folded {
  const readers = readersOf(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const initializers = new Map(graph.initializers);
  const replaced = new Map<Node, Node | null>();
  for (const conv of graph.nodes) {
    const [convOut] = conv.outputs;
    if (conv.op !== 'Conv' || conv.domain !== '' || !convOut || outputs.has(convOut)) continue;
    const [norm, ...others] = readers.get(convOut) ?? [];
    if (norm?.op !== 'BatchNormalization' || norm.domain !== '' || others.length > 0) continue;
    if (intOf(norm, 'training_mode', 0) !== 0 || norm.inputs[0] !== convOut) continue;
    const folded = foldPair(graph, conv, norm);
    if (!folded) continue;
    const weightName = `${conv.name}/w`;
    const biasName = `${conv.name}/b`;
    initializers.set(weightName, folded.weight);
    initializers.set(biasName, folded.bias);
    replaced.set(conv, {
      ...conv,
      inputs: [conv.inputs[0] ?? '', weightName, biasName],
      outputs: norm.outputs.slice(0, 1),
    });
    replaced.set(norm, null);
  }
  const nodes = graph.nodes.flatMap((node) => {
    const replacement = replaced.get(node);
    return replacement === undefined ? [node] : replacement === null ? [] : [replacement];
  });
  return { graph: dropUnused({ ...graph, nodes, initializers }), count: replaced.size / 2 };
}

function foldPair(
  graph: Graph,
  conv: Node,
  norm: Node,
): { readonly weight: Tensor; readonly bias: Tensor } | null {
  const data = (name: string | undefined): Float32Array | null => {
    const tensor = name ? graph.initializers.get(name) : undefined;
    return tensor?.data instanceof Float32Array ? tensor.data : null;
  };
  const weight = conv.inputs[1] ? graph.initializers.get(conv.inputs[1]) : undefined;
  const weights = data(conv.inputs[1]);
  const [scale, shift, mean, variance] = norm.inputs.slice(1).map(data);
  if (!weight || !weights || !scale || !shift || !mean || !variance) return null;
  const before = conv.inputs[2] ? data(conv.inputs[2]) : new Float32Array(scale.length);
  if (!before) return null;
  const attribute = norm.attributes.get('epsilon');
  const epsilon = attribute?.type === 'float' ? attribute.value : 1e-5;
  const gain = scale.map((value, index) => value / Math.sqrt((variance[index] ?? 0) + epsilon));
  const inner = weights.length / gain.length;
  return {
    weight: {
      ...weight,
      data: weights.map((value, index) => value * (gain[Math.floor(index / inner)] ?? 0)),
    },
    bias: {
      dtype: 'float32',
      dims: [gain.length],
      data: gain.map(
        (value, index) => ((before[index] ?? 0) - (mean[index] ?? 0)) * value + (shift[index] ?? 0),
      ),
    },
  };
}
