/**
 * What the bench times: one training step of each bench model, and three operators alone, forward and backward. All
 * contenders begin with the same weights and are fed the same batch, so that their losses must agree. The operators
 * are given as ONNX graphs; `d…` outputs are the gradients of sum(y * g).
 */
import { differentiate } from '../src/autodiff/differentiate';
import { sizeOf } from '../src/core/dtype';
import { normals } from '../src/core/philox';
import { pruneUnused } from '../src/onnx/compose';
import { GraphBuilder } from '../src/onnx/builder';
import { attr } from '../src/onnx/graph';
import type { Graph } from '../src/onnx/graph';
import { BENCH_MODELS, forwardOf } from './models';
import type { Model, ModelName } from './models';

export type Library = 'ours' | 'tfjs' | 'jax-js';
export type Backend = 'webgpu' | 'wasm';

export type OperatorName = 'matmul' | 'conv' | 'attention';

export interface OperatorTask {
  readonly name: OperatorName;
  readonly title: string;
  readonly gradient: boolean;
  /** Inputs in their order; the last of a gradient task is g, as long as the result. */
  readonly inputs: readonly Operand[];
  readonly floatingPointOperations: number;
  readonly heads: number;
}

export interface Operand {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** One library on one backend, ready to work. */
export interface Contender {
  /** The library and the version that really ran. */
  readonly version: string;
  /** Works `times` times, each awaited to the end, and gives the last loss or number. */
  run(times: number): Promise<number>;
}

export interface Sizes {
  /** Edge of the square matrices. */
  readonly matmul: number;
}

export function modelOf(name: string): Model | undefined {
  return name in BENCH_MODELS ? BENCH_MODELS[name as ModelName] : undefined;
}

export interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Initial weights of the layers, in their order. */
export function weightsOf(model: Model): Weight[] {
  const weights: Weight[] = [];
  for (const [name, { dims, data }] of forwardOf(model).initializers) {
    if (data instanceof Float32Array && /\.(weight|bias)$/.test(name)) {
      weights.push({ name, dims, data });
    }
  }
  return weights;
}

const CONV = { batch: 32, into: 32, out: 64, edge: 14 };
const ATTENTION = { batch: 4, heads: 4, length: 128, size: 64 };

/** `matmul`, or `matmul-gradient` for its gradients. */
export function operatorTask(task: string, sizes: Sizes): OperatorTask {
  const [name = '', part] = task.split('-');
  const gradient = part === 'gradient';
  const make = (
    operator: OperatorName,
    title: string,
    shapes: Readonly<Record<string, readonly number[]>>,
    result: readonly number[],
    operations: number,
  ): OperatorTask => {
    const all = Object.entries(gradient ? { ...shapes, g: result } : shapes);
    return {
      name: operator,
      title: gradient ? `${title}, gradients` : title,
      gradient,
      inputs: all.map(([input, dims]) => ({
        name: input,
        dims,
        data: normals(sizeOf(dims), 1, 1, `bench-${operator}-${input}`),
      })),
      floatingPointOperations: operations * (gradient ? 2 : 1),
      heads: ATTENTION.heads,
    };
  };
  if (name === 'matmul') {
    const n = sizes.matmul;
    return make('matmul', `matmul ${n}²`, { a: [n, n], b: [n, n] }, [n, n], 2 * n ** 3);
  }
  if (name === 'conv') {
    const { batch, into, out, edge } = CONV;
    return make(
      'conv',
      `conv 3x3 ${into}-${out}, ${batch} x ${edge} x ${edge}`,
      { a: [batch, into, edge, edge], b: [out, into, 3, 3] },
      [batch, out, edge, edge],
      2 * batch * out * edge * edge * into * 9,
    );
  }
  if (name === 'attention') {
    const { batch, heads, length, size } = ATTENTION;
    const dims = [batch, length, heads * size];
    return make(
      'attention',
      `causal attention ${batch} x ${heads} heads x ${length} x ${size}`,
      { a: dims, b: dims, c: dims },
      dims,
      4 * batch * heads * length * length * size,
    );
  }
  throw new Error(`The bench has no task "${task}".`);
}

/** Inputs as in the task; outputs are one element of each result, so that reading them costs nothing. */
export function operatorGraph(task: OperatorTask): { graph: Graph; outputs: readonly string[] } {
  const builder = new GraphBuilder(task.name);
  const [a = '', b = '', c = ''] = task.inputs.map(({ name, dims }) =>
    builder.input(name, 'float32', dims),
  );
  const y = operatorNode(builder, task, [a, b, c]);
  if (!task.gradient) return withProbes(builder, [y]);
  const product = builder.node('Mul', [y, 'g']);
  const loss = builder.node('ReduceSum', [product], { keepdims: attr.int(0) });
  const learned = task.inputs.map(({ name }) => name).filter((name) => name !== 'g');
  const { graph, gradients } = differentiate(builder.build(), { numerator: loss }, learned);
  return withProbes(
    GraphBuilder.from(graph, { dropOutputs: true }),
    learned.map((name) => gradients.get(name) ?? ''),
  );
}

function operatorNode(
  builder: GraphBuilder,
  { name, heads }: OperatorTask,
  [a = '', b = '', c = '']: readonly string[],
): string {
  if (name === 'matmul') return builder.node('MatMul', [a, b]);
  if (name === 'conv') return builder.node('Conv', [a, b], { pads: attr.ints([1, 1, 1, 1]) });
  return builder.node('Attention', [a, b, c], {
    is_causal: attr.int(1),
    q_num_heads: attr.int(heads),
    kv_num_heads: attr.int(heads),
  });
}

function withProbes(builder: GraphBuilder, results: readonly string[]) {
  const outputs = results.map((result, index) => {
    const flat = builder.node('Reshape', [result, builder.ints([-1])]);
    const ends = [builder.ints([0]), builder.ints([1])];
    const probe = builder.node('Slice', [flat, ...ends], {}, { outputs: [`probe_${index}`] });
    return builder.output(probe, 'float32', [1]);
  });
  return { graph: pruneUnused(builder.build()), outputs };
}
