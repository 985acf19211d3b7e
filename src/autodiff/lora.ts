/**
 * Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685): a frozen weight W learns through
 *
 *   W' = W + (alpha / rank) · B·A,   A [rank, in] ~ N(0, 1/in) (He et al. 2015, gain 1),   B [out, rank] = 0
 *
 * so the model starts as it was. Adapters stand in the graph as ordinary nodes beside the weight they adapt;
 * metadata says which nodes these are, so that merging takes exactly them out again.
 */
import { AppError, invariant } from '../core/errors';
import { sizeOf } from '../core/dtype';
import { normals } from '../core/philox';
import { GraphBuilder } from '../onnx/builder';
import { withInitializers, withMetadata } from '../onnx/compose';
import { attr } from '../onnx/graph';
import type { Attribute, Graph, Node, Tensor } from '../onnx/graph';
import { floatAttribute, intAttribute } from '../ops/attributes';
import { loraTargets } from './lora-targets';
import type { LoraTarget } from './lora-targets';

export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  /** Share of the adapter's inputs dropped while learning. */
  readonly dropout: number;
  /** Pattern over weight and node names: `*` is any text, several by comma. */
  readonly targets: string;
  readonly seed: number;
}

/** A small file beside the model it belongs to. */
export interface Adapter {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const KEY = 'terrarium.lora';

interface Settings {
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
}

interface LoraRecord extends Settings {
  readonly weights: readonly {
    readonly weight: string;
    readonly outFirst: boolean;
    /** Added nodes, and the output that each adapted node had. */
    readonly added: readonly string[];
    readonly bases: readonly (readonly [node: string, output: string])[];
  }[];
}

/**
 * The graph with adapters `<weight>/lora_a` and `<weight>/lora_b` beside every weight that the pattern names.
 * @throws AppError `lora/targets` where it names none, `lora/rank`
 */
export function addLora(forward: Graph, options: LoraOptions): Graph {
  const targets = loraTargets(forward, options.targets);
  if (targets.length === 0) {
    throw new AppError(
      'lora/targets',
      `No weight of a MatMul, Gemm or 1 × 1 Conv fits the pattern "${options.targets}".`,
      { targets: options.targets },
    );
  }
  const graph = adapted(forward, options, targets);
  const tensors = new Map<string, Tensor>();
  for (const { weight, inputs } of targets) {
    const name = `${weight}/lora_a`;
    const { dims } = graph.initializers.get(name) as Tensor;
    const deviation = 1 / Math.sqrt(inputs);
    const data = normals(sizeOf(dims), deviation, options.seed, `init:${name}`);
    tensors.set(name, { dtype: 'float32', dims, data });
  }
  return withInitializers(graph, tensors);
}

/** Adapters of zeros beside the given weights. */
function adapted(forward: Graph, settings: Settings, targets: readonly LoraTarget[]): Graph {
  const { rank, alpha, dropout } = settings;
  if (!Number.isInteger(rank) || rank < 1) {
    throw new AppError(
      'lora/rank',
      `The rank of an adapter is a whole number from 1, not ${rank}.`,
    );
  }
  if (forward.metadata.has(KEY)) {
    throw new AppError('lora/twice', 'The model has adapters already. Merge them first.');
  }
  const builder = GraphBuilder.from({ ...forward, nodes: [] });
  const scale = builder.initializer('lora/scale', scalar(alpha / rank));
  const ratio = dropout > 0 ? builder.initializer('lora/ratio', scalar(dropout)) : '';
  const byNode = new Map(targets.flatMap((each) => each.nodes.map((node) => [node, each])));
  const records = new Map<string, { added: string[]; bases: [string, string][] }>();
  for (const { weight, inputs, outputs } of targets) {
    records.set(weight, { added: [], bases: [] });
    const tail = forward.initializers.get(weight)?.dims.slice(2) ?? [];
    const zeros = (dims: readonly number[]): Tensor => ({
      dtype: 'float32',
      dims,
      data: new Float32Array(sizeOf(dims)),
    });
    builder.initializer(`${weight}/lora_a`, zeros([rank, inputs, ...tail]));
    builder.initializer(`${weight}/lora_b`, zeros([outputs, rank, ...tail]));
  }
  for (const node of forward.nodes) {
    const target = byNode.get(node.name);
    const record = target && records.get(target.weight);
    if (!target || !record) {
      copy(builder, node, node.outputs);
      continue;
    }
    const tag = `${target.weight}/lora${record.bases.length || ''}`;
    const [output = ''] = node.outputs;
    record.bases.push([node.name, output]);
    copy(builder, node, [`${tag}_base`]);
    const add = (
      part: string,
      op: string,
      inputs: readonly string[],
      attributes: Readonly<Record<string, Attribute>> = {},
    ): string => {
      const name = `${tag}_${part}`;
      record.added.push(name);
      const outputs = [part === 'sum' ? output : `${name}_out`];
      return builder.node(op, inputs, attributes, { name, outputs });
    };
    let x = node.inputs[0] ?? '';
    if (ratio !== '') x = add('dropout', 'Dropout', [x, ratio]);
    const delta = branch(node, target.weight, x, scale, add);
    add('sum', 'Add', [`${tag}_base`, delta]);
  }
  const weights = targets.map(({ weight, outFirst }) => {
    const record = records.get(weight);
    return { weight, outFirst, added: record?.added ?? [], bases: record?.bases ?? [] };
  });
  const record: LoraRecord = { rank, alpha, dropout, weights };
  return withMetadata(builder.build(), { [KEY]: JSON.stringify(record) });
}

type Add = (
  part: string,
  op: string,
  inputs: readonly string[],
  attributes?: Readonly<Record<string, Attribute>>,
) => string;

/** (alpha / rank) · x·Aᵀ·Bᵀ as the adapted node would compute it. The scale is applied where the tensor is thin. */
function branch(node: Node, weight: string, x: string, scale: string, add: Add): string {
  const [a, b] = [`${weight}/lora_a`, `${weight}/lora_b`];
  const transB = attr.int(1);
  if (node.op === 'Gemm') {
    const alpha = attr.float(floatAttribute(node, 'alpha', 1));
    const transA = attr.int(intAttribute(node, 'transA', 0));
    const thin = add('down', 'Gemm', [x, a], { transA, transB, alpha });
    return add('up', 'Gemm', [add('scaled', 'Mul', [thin, scale]), b], { transB });
  }
  if (node.op === 'Conv') {
    // Stride and padding of the adapted node belong to the first of the two.
    const thin = add('down', 'Conv', [x, a], Object.fromEntries(node.attributes));
    return add('up', 'Conv', [add('scaled', 'Mul', [thin, scale]), b]);
  }
  const perm = attr.ints([1, 0]);
  const thin = add('down', 'MatMul', [x, add('a', 'Transpose', [a], { perm })]);
  const scaled = add('scaled', 'Mul', [thin, scale]);
  return add('up', 'MatMul', [scaled, add('b', 'Transpose', [b], { perm })]);
}

function scalar(value: number): Tensor {
  return { dtype: 'float32', dims: [], data: Float32Array.of(value) };
}

function copy(builder: GraphBuilder, node: Node, outputs: readonly string[]): void {
  const { op, domain, inputs, attributes, name } = node;
  const options = { domain, name, outputs };
  builder.nodes(op, inputs, outputs.length, Object.fromEntries(attributes), options);
}

function recordOf(graph: Graph): LoraRecord {
  const text = graph.metadata.get(KEY);
  if (text === undefined) throw new AppError('lora/none', 'The model has no adapters.');
  return JSON.parse(text) as LoraRecord;
}

function floats(graph: Graph, name: string): Tensor & { data: Float32Array } {
  const tensor = graph.initializers.get(name);
  invariant(tensor?.data instanceof Float32Array, `"${name}" is not a float32 initialiser.`);
  return { ...tensor, data: tensor.data };
}

/** W + scale · B·A, summed in float64 and rounded once. */
function mergedWeight(graph: Graph, weight: string, outFirst: boolean, scale: number): Tensor {
  const base = floats(graph, weight);
  const a = floats(graph, `${weight}/lora_a`);
  const b = floats(graph, `${weight}/lora_b`);
  const [rank = 0, inputs = 0] = a.dims;
  const [outputs = 0] = b.dims;
  const data = base.data.slice();
  for (let out = 0; out < outputs; out++) {
    for (let into = 0; into < inputs; into++) {
      let sum = 0;
      for (let r = 0; r < rank; r++) {
        sum += (b.data[out * rank + r] as number) * (a.data[r * inputs + into] as number);
      }
      const at = outFirst ? out * inputs + into : into * outputs + out;
      data[at] = (data[at] as number) + scale * sum;
    }
  }
  return { dtype: 'float32', dims: base.dims, data };
}

/** An ordinary graph in which each adapted weight has taken its adapter in. */
export function mergeLora(graph: Graph): Graph {
  const { rank, alpha, weights } = recordOf(graph);
  const removed = new Set(weights.flatMap(({ added }) => added));
  const restored = new Map(weights.flatMap(({ bases }) => bases));
  const initializers = new Map(graph.initializers);
  for (const { weight, outFirst } of weights) {
    initializers.set(weight, mergedWeight(graph, weight, outFirst, alpha / rank));
    initializers.delete(`${weight}/lora_a`);
    initializers.delete(`${weight}/lora_b`);
  }
  initializers.delete('lora/scale');
  initializers.delete('lora/ratio');
  const metadata = new Map(graph.metadata);
  metadata.delete(KEY);
  const nodes = graph.nodes.flatMap((node) => {
    if (removed.has(node.name)) return [];
    const output = restored.get(node.name);
    return [output === undefined ? node : { ...node, outputs: [output] }];
  });
  return { ...graph, nodes, initializers, metadata, valueInfo: new Map() };
}

/** What has been learned, by itself: the adapters, and whatever else is in `trained` (a new head). */
export function adapterOf(graph: Graph, trained: ReadonlyMap<string, Float32Array>): Adapter {
  const { rank, alpha, dropout, weights } = recordOf(graph);
  const tensors = new Map<string, Tensor>();
  for (const [name, data] of trained) {
    const { dims } = floats(graph, name);
    tensors.set(name, { dtype: 'float32', dims, data });
  }
  for (const { weight } of weights) {
    for (const name of [`${weight}/lora_a`, `${weight}/lora_b`]) {
      if (!tensors.has(name)) tensors.set(name, floats(graph, name));
    }
  }
  const names = weights.map(({ weight }) => weight);
  return {
    tensors,
    metadata: { [KEY]: JSON.stringify({ rank, alpha, dropout, weights: names }) },
  };
}

/**
 * The base model with the adapter beside its weights; `mergeLora` takes it in.
 * @throws AppError `lora/adapter` where it was made for another model
 */
export function applyAdapter(base: Graph, adapter: Adapter): Graph {
  const text = adapter.metadata[KEY];
  if (text === undefined) throw new AppError('lora/adapter', 'The file holds no adapter.');
  const { weights, ...settings } = settingsOf(text);
  const known = new Map(loraTargets(base, '*').map((target) => [target.weight, target]));
  const targets = weights.map((weight) => {
    const target = known.get(weight);
    if (target) return target;
    throw new AppError(
      'lora/adapter',
      `The adapter changes the weight "${weight}", which this model does not have. It belongs to another model.`,
      { weight },
    );
  });
  return withInitializers(adapted(base, settings, targets), adapter.tensors);
}

const MOST_RANK = 4096;

/** The settings in a file of anybody's: factors are made by them. */
function settingsOf(text: string): Settings & { readonly weights: readonly string[] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (isSettings(value)) return value;
  throw new AppError('lora/adapter', 'The file holds no adapter whose settings are understood.');
}

function isSettings(value: unknown): value is Settings & { readonly weights: readonly string[] } {
  if (typeof value !== 'object' || value === null) return false;
  const { rank, alpha, dropout, weights } = value as Partial<Record<string, unknown>>;
  const isRank = Number.isSafeInteger(rank) && Number(rank) > 0 && Number(rank) <= MOST_RANK;
  const isShare = typeof dropout === 'number' && dropout >= 0 && dropout < 1;
  const names =
    Array.isArray(weights) &&
    weights.every((name) => typeof name === 'string') &&
    new Set(weights).size === weights.length;
  return isRank && isShare && Number.isFinite(alpha) && names;
}
