/**
 * Static int8 as QuantizeLinear / DequantizeLinear pairs (QDQ): weights are stored as int8 with a scale an
 * output channel, biases as int32 at scale s_x s_c, activations get one calibrated int8 range each:
 *   q = clamp(round(x / s) + z, -128, 127),   x ~ s (q - z)
 * A runtime that knows the pattern runs integer kernels; any other computes the same in float. Activations are
 * int8, not uint8: unsigned times signed bytes can saturate in the 16-bit sums of older x86 kernels.
 * Source: ONNX ai.onnx QuantizeLinear; Jacob et al. 2018 section 2; Nagel et al. 2021 section 3.
 */
import { invariant } from '../core/errors';
import type { Graph, Node, Tensor } from '../onnx/graph';
import { attr } from '../onnx/graph';
import { foldBatchNorm } from './fold-batch-norm';
import { leftInFloat, nothingToQuantise, plainNode } from './int8-dynamic';
import type { Quantised } from './int8-dynamic';
import { affine } from './ranges';
import type { Range } from './ranges';
import { chooseTargets } from './targets';
import type { Target } from './targets';
import { dropUnused, readersOf } from './tidy';
import { quantiseWeight } from './weights';

/** Operators that only move or select values: their output keeps their input's scale. */
const PASSING = new Set(['MaxPool', 'Flatten', 'Reshape', 'Transpose', 'Squeeze', 'Unsqueeze']);
/** What the recipe ends in; nothing before it is quantised. */
const FEATURES = 'features';

export interface StaticPlan {
  /** The float graph after folding; calibration runs this one. */
  readonly graph: Graph;
  readonly targets: readonly Target[];
  /** Quantised value -> the value whose range it takes. */
  readonly roots: ReadonlyMap<string, string>;
  /** Values whose ranges calibration must find. */
  readonly probes: readonly string[];
  readonly notes: readonly string[];
}

export function planStatic(original: Graph): StaticPlan {
  const { graph, count: foldedCount } = foldBatchNorm(original);
  const { targets, left } = chooseTargets(graph);
  if (targets.length === 0) throw nothingToQuantise();
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((o) => [o, node])));
  const readers = readersOf(graph);
  const graphOutputs = new Set(graph.outputs.map(({ name }) => name));
  const roots = new Map<string, string>();

  /** Quantises `value` and whatever it is only a rearrangement of. */
  const claim = (value: string): string => {
    const known = roots.get(value);
    if (known !== undefined) return known;
    const producer = value === FEATURES ? undefined : producers.get(value);
    const source = producer && PASSING.has(producer.op) ? producer.inputs[0] : undefined;
    const root = source === undefined ? value : claim(source);
    roots.set(value, root);
    return root;
  };
  for (const { node, kind, input } of targets) {
    claim(input);
    const [output] = node.outputs;
    if (kind !== 'Conv' || output === undefined || graphOutputs.has(output)) continue;
    // Quantise after the ReLU: its zero is the range's lower end, so a runtime can drop the ReLU itself.
    const [reader, ...others] = readers.get(output) ?? [];
    const activated = reader?.op === 'Relu' && others.length === 0 ? reader.outputs[0] : undefined;
    claim(activated === undefined || graphOutputs.has(activated) ? output : activated);
  }
  const notes = [
    `${targets.length} of ${targets.length + left.length} layers hold int8 weights with one scale for each output channel.`,
    ...(foldedCount > 0
      ? [`${foldedCount} batch normalisations were folded into their convolutions.`]
      : []),
    ...leftInFloat(left),
    'The recipe, softmax and everything else stay in float: they hold no weights.',
  ];
  return { graph, targets, roots, probes: [...new Set(roots.values())], notes };
}

/** Rewrites the planned graph with the ranges that calibration found. */
export function quantiseStatic(plan: StaticPlan, ranges: ReadonlyMap<string, Range>): Quantised {
  const { graph, roots } = plan;
  const byNode = new Map(plan.targets.map((target) => [target.node, target]));
  const initializers = new Map(graph.initializers);
  const nodes: Node[] = [];

  const paramsOf = (value: string) => {
    const root = roots.get(value) ?? value;
    const range = ranges.get(root);
    invariant(range, `Calibration has no range for "${root}".`);
    const { scale, zeroPoint } = affine(range);
    const names = [`${root}/s`, `${root}/z`] as const;
    initializers.set(names[0], { dtype: 'float32', dims: [], data: Float32Array.of(scale) });
    initializers.set(names[1], { dtype: 'int8', dims: [], data: Int8Array.of(zeroPoint) });
    return { scale, names };
  };
  const addPair = (value: string): void => {
    if (!roots.has(value)) return;
    const { names } = paramsOf(value);
    nodes.push(
      plainNode('QuantizeLinear', `${value}/q`, [value, ...names], [`${value}/q`]),
      plainNode('DequantizeLinear', `${value}/d`, [`${value}/q`, ...names], [`${value}/d`]),
    );
  };
  const read = (value: string) => (roots.has(value) ? `${value}/d` : value);

  for (const { name } of graph.inputs) addPair(name);
  for (const node of graph.nodes) {
    const target = byNode.get(node);
    if (target) {
      const { scale } = paramsOf(target.input);
      const layer = dequantisedWeights(target, scale, initializers);
      nodes.push(...layer.nodes, { ...node, inputs: [read(target.input), ...layer.inputs] });
    } else {
      nodes.push({ ...node, inputs: node.inputs.map(read) });
    }
    for (const output of node.outputs) addPair(output);
  }
  return { graph: dropUnused({ ...graph, nodes, initializers }), notes: plan.notes };
}

function dequantisedWeights(
  target: Target,
  inputScale: number,
  initializers: Map<string, Tensor>,
): { readonly nodes: readonly Node[]; readonly inputs: readonly string[] } {
  const { channels, bias } = target;
  const { name } = target.node;
  // Keeps |b| / (s_x s_c) within int32 with room to spare.
  const floor = bias?.map((value) => Math.abs(value) / (inputScale * 2 ** 30));
  const weight = quantiseWeight(target.weight, target.weightDims, target.axis, floor);
  const put = (suffix: string, tensor: Tensor): string => {
    initializers.set(`${name}/${suffix}`, tensor);
    return `${name}/${suffix}`;
  };
  const weightInputs = [
    put('w', { dtype: 'int8', dims: target.weightDims, data: weight.values }),
    put('s', { dtype: 'float32', dims: [channels], data: weight.scales }),
    put('z', { dtype: 'int8', dims: [channels], data: new Int8Array(channels) }),
  ];
  const axis = { axis: attr.int(target.axis) };
  const nodes = [plainNode('DequantizeLinear', `${name}/wd`, weightInputs, [`${name}/wd`], axis)];
  const inputs = [`${name}/wd`];
  if (bias) {
    const scales = weight.scales.map((scale) => scale * inputScale);
    const values = Int32Array.from(bias, (value, index) =>
      Math.round(value / (scales[index] ?? 1)),
    );
    const biasInputs = [
      put('b', { dtype: 'int32', dims: [channels], data: values }),
      put('bs', { dtype: 'float32', dims: [channels], data: scales }),
    ];
    const onlyAxis = { axis: attr.int(0) };
    nodes.push(plainNode('DequantizeLinear', `${name}/bd`, biasInputs, [`${name}/bd`], onlyAxis));
    inputs.push(`${name}/bd`);
  }
  return { nodes, inputs };
}
