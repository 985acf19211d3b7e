/**
 * Dynamic int8: weights are stored in 8 bits, activations are quantised as they pass, by their own range:
 *   x ~ s_x (q_x - z_x)  (ONNX DynamicQuantizeLinear),   w ~ s_c (q_w - 128)
 *   y = s_x s_c (sum over k of (q_x - z_x)(q_w - 128)) + b
 * Weights are uint8 around 128, not int8: products of two unsigned bytes cannot saturate in the 16-bit sums of
 * older x86 kernels. Source: ONNX ai.onnx MatMulInteger and ConvInteger; Nagel et al. 2021 for the scales.
 */
import { AppError, invariant } from '../core/errors';
import type { Attribute, Graph, Node, Tensor } from '../onnx/graph';
import { attr } from '../onnx/graph';
import { chooseTargets } from './targets';
import type { Target } from './targets';
import { dropUnused } from './tidy';
import { quantiseWeight } from './weights';

export interface Quantised {
  readonly graph: Graph;
  /** In words: what was done, what was left in float and why. */
  readonly notes: readonly string[];
}

const ZERO_POINT = 128;

export function quantiseDynamic(graph: Graph): Quantised {
  const { targets, left } = chooseTargets(graph);
  if (targets.length === 0) throw nothingToQuantise();
  const byNode = new Map(targets.map((target) => [target.node, target]));
  const initializers = new Map(graph.initializers);
  initializers.set('q_zero', { dtype: 'uint8', dims: [], data: Uint8Array.of(ZERO_POINT) });
  const quantisedInputs = new Map<string, readonly [string, string, string]>();
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const target = byNode.get(node);
    if (!target) {
      nodes.push(node);
      continue;
    }
    let x = quantisedInputs.get(target.input);
    if (!x) {
      x = [`${target.input}/q`, `${target.input}/s`, `${target.input}/z`];
      nodes.push(plainNode('DynamicQuantizeLinear', `${x[0]}l`, [target.input], x));
      quantisedInputs.set(target.input, x);
    }
    nodes.push(...integerLayer(target, x, initializers));
  }
  return {
    graph: dropUnused({ ...graph, nodes, initializers }),
    notes: [
      `${targets.length} of ${targets.length + left.length} layers hold 8-bit weights; their inputs are quantised while the model runs.`,
      ...leftInFloat(left),
    ],
  };
}

function integerLayer(
  target: Target,
  [x, xScale, xZero]: readonly [string, string, string],
  initializers: Map<string, Tensor>,
): Node[] {
  const { node, kind, channels } = target;
  const [output] = node.outputs;
  invariant(output !== undefined, `Layer ${node.name} has no output.`);
  const { name } = node;
  const { values, scales } = quantiseWeight(target.weight, target.weightDims, target.axis);
  const isConv = kind === 'Conv';
  const matrix = !isConv && target.axis === 0;
  const unsigned = Uint8Array.from(values, (value) => value + ZERO_POINT);
  // MatMulInteger has no transB: [N, K] is stored as [K, N].
  initializers.set(`${name}/w`, {
    dtype: 'uint8',
    dims: matrix ? [...target.weightDims].reverse() : target.weightDims,
    data: matrix ? transpose(unsigned, channels) : unsigned,
  });
  const perChannel = isConv ? [channels, ...target.weightDims.slice(2).map(() => 1)] : [channels];
  initializers.set(`${name}/s`, { dtype: 'float32', dims: perChannel, data: scales });
  const sum = `${name}/i`;
  const floatSum = `${name}/f`;
  const scale = `${name}/xs`;
  const inputs = [x, `${name}/w`, xZero, 'q_zero'];
  const nodes = [
    isConv
      ? { ...plainNode('ConvInteger', sum, inputs, [sum]), attributes: node.attributes }
      : plainNode('MatMulInteger', sum, inputs, [sum]),
    plainNode('Cast', floatSum, [sum], [floatSum], { to: attr.int(1) }),
    plainNode('Mul', scale, [xScale, `${name}/s`], [scale]),
  ];
  if (!target.bias) return [...nodes, plainNode('Mul', name, [floatSum, scale], [output])];
  initializers.set(`${name}/b`, { dtype: 'float32', dims: perChannel, data: target.bias });
  const scaled = `${name}/y`;
  return [
    ...nodes,
    plainNode('Mul', scaled, [floatSum, scale], [scaled]),
    plainNode('Add', name, [scaled, `${name}/b`], [output]),
  ];
}

function transpose(values: Uint8Array, rows: number): Uint8Array {
  const columns = values.length / rows;
  const turned = new Uint8Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = values[row * columns + column] ?? 0;
  return turned;
}

export function plainNode(
  op: string,
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Node {
  return { name, op, domain: '', inputs, outputs, attributes: new Map(Object.entries(attributes)) };
}

export function leftInFloat(left: readonly string[]): string[] {
  return left.length === 0 ? [] : [`Left in float: ${left.join(', ')}.`];
}

export function nothingToQuantise(): AppError {
  return new AppError(
    'compress/nothing-to-quantise',
    'This model has no Conv, Gemm or MatMul with stored float32 weights, so there is nothing to turn into int8. Keep the float model.',
  );
}
