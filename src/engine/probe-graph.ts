/** The two graphs the probe times: a square matrix product, and one training step of a small MLP with Adam. */
import { GraphBuilder } from '../onnx/builder';
import { attr, TRAINING_DOMAIN } from '../onnx/graph';
import type { Graph } from '../onnx/graph';
import type { Feeds, StateSpec } from './executor';

export interface ProbeGraph {
  readonly graph: Graph;
  readonly specs: readonly StateSpec[];
  readonly initial: ReadonlyMap<string, Float32Array>;
  readonly updates: ReadonlyMap<string, string>;
  readonly outputs: readonly string[];
  readonly feeds: Feeds;
}

/** Numbers without meaning but of ordinary size. */
function filled(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, index) => ((index * 37) % 101) / 101 - 0.5);
}

/** One number comes back, so that reading costs nothing beside the product. */
export function matmulGraph(size: number): ProbeGraph {
  const builder = new GraphBuilder('probe-matmul');
  const a = builder.input('a', 'float32', [size, size]);
  const b = builder.input('b', 'float32', [size, size]);
  const product = builder.node('MatMul', [a, b]);
  builder.node('ReduceMax', [product], { keepdims: attr.int(0) }, { outputs: ['largest'] });
  builder.output('largest', 'float32', []);
  return {
    graph: builder.build(),
    specs: [{ name: 'b', dims: [size, size] }],
    initial: new Map([['b', filled(size * size)]]),
    updates: new Map(),
    outputs: ['largest'],
    feeds: new Map([['a', filled(size * size)]]),
  };
}

export function stepGraph(
  batch: number,
  features: number,
  hidden: number,
  classes: number,
): ProbeGraph {
  const builder = new GraphBuilder('probe-step');
  const training = { domain: TRAINING_DOMAIN };
  const scalars = ['learning_rate', 'step', 'clip_norm'];
  for (const name of scalars) builder.input(name, 'float32', []);
  builder.input('features', 'float32', [batch, features]);
  builder.input('labels', 'int32', [batch]);
  builder.input('sample_weight', 'float32', [batch]);
  const specs: StateSpec[] = [
    { name: 'w1', dims: [features, hidden] },
    { name: 'w2', dims: [hidden, classes] },
  ].flatMap(({ name, dims }) => ['', '/m', '/v'].map((suffix) => ({ name: name + suffix, dims })));
  for (const { name, dims } of specs) builder.input(name, 'float32', dims);

  const active = builder.node('Relu', [builder.node('MatMul', ['features', 'w1'])]);
  const logits = builder.node('MatMul', [active, 'w2']);
  const [loss = '', , probabilities = ''] = builder.nodes(
    'SoftmaxCrossEntropy',
    [logits, 'labels', 'sample_weight'],
    3,
    {},
    training,
  );
  const slope = builder.node(
    'SoftmaxCrossEntropyGrad',
    [builder.scalar(1 / batch), probabilities, 'labels', 'sample_weight'],
    {},
    training,
  );
  const right = { transB: attr.int(1) };
  const left = { transA: attr.int(1) };
  const gradient2 = builder.node('Gemm', [active, slope], left);
  const back = builder.node('Gemm', [slope, 'w2'], right);
  const passes = builder.node('Greater', [active, builder.scalar(0)]);
  const masked = builder.node('Where', [passes, back, builder.scalar(0)]);
  const gradient1 = builder.node('Gemm', ['features', masked], left);
  builder.nodes(
    'Adam',
    [...scalars, 'w1', gradient1, 'w1/m', 'w1/v', 'w2', gradient2, 'w2/m', 'w2/v'],
    specs.length + 2,
    {},
    {
      ...training,
      outputs: [...specs.map(({ name }) => `${name}/next`), 'grad_norm', 'step_done'],
    },
  );
  for (const { name, dims } of specs) builder.output(`${name}/next`, 'float32', dims);
  builder.output('grad_norm', 'float32', []);
  builder.output(loss, 'float32', []);
  return {
    graph: builder.build(),
    specs,
    initial: new Map(
      specs.map(({ name, dims: [rows = 1, columns = 1] }) => [
        name,
        name.includes('/') ? new Float32Array(rows * columns) : filled(rows * columns),
      ]),
    ),
    updates: new Map(specs.map(({ name }) => [name, `${name}/next`])),
    outputs: ['grad_norm'],
    feeds: new Map<string, Float32Array | Int32Array>([
      ['features', filled(batch * features)],
      ['labels', Int32Array.from({ length: batch }, (_, row) => row % classes)],
      ['sample_weight', new Float32Array(batch).fill(1)],
      ['learning_rate', Float32Array.of(0.001)],
      ['step', Float32Array.of(1)],
      ['clip_norm', Float32Array.of(0)],
    ]),
  };
}
