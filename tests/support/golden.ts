/** PyTorch's training steps (tools/golden/training.py), and the forward graphs they belong to. */
import { readFileSync } from 'node:fs';
import { GraphBuilder } from '../../src/onnx/builder';
import { attr } from '../../src/onnx/graph';
import type { Graph } from '../../src/onnx/graph';
import type { Feed } from '../../src/engine/executor';
import type { OptimiserConfig } from '../../src/protocol/entities';
import type { LossName } from '../../src/training/objective';
import type { TrainingOptions } from '../../src/training/training-graph';

export interface Packed {
  readonly dims: readonly number[];
  readonly data: readonly number[];
}

export interface GoldenStep {
  readonly feeds: Readonly<Record<string, Packed>>;
  readonly learning_rate: number;
  readonly row_loss: Packed;
  readonly loss_numerator: number;
  readonly loss_denominator: number;
  readonly grad_norm: number;
  /** Before clipping. */
  readonly gradients: Readonly<Record<string, Packed>>;
  /** Weights, running statistics and moments after the step. */
  readonly state: Readonly<Record<string, Packed>>;
}

export interface GoldenCase {
  readonly name: string;
  readonly model: 'mlp' | 'cnn';
  readonly loss: LossName;
  readonly optimiser: OptimiserConfig['kind'];
  readonly clip_norm: number;
  readonly initial: Readonly<Record<string, Packed>>;
  readonly steps: readonly GoldenStep[];
}

export function goldenTrainingCases(): readonly GoldenCase[] {
  const file = new URL('../fixtures/golden/training.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { cases: GoldenCase[] }).cases;
}

const OPTIMISERS: Readonly<Record<OptimiserConfig['kind'], OptimiserConfig>> = {
  sgd: { kind: 'sgd', momentum: 0.9 },
  adam: { kind: 'adam', beta1: 0.85, beta2: 0.99, epsilon: 1e-6 },
  adamw: { kind: 'adamw', beta1: 0.85, beta2: 0.99, epsilon: 1e-6, weightDecay: 0.3 },
  lion: { kind: 'lion', beta1: 0.85, beta2: 0.95, weightDecay: 0.3 },
};

export function goldenOptions(golden: GoldenCase): TrainingOptions {
  return {
    task: golden.loss === 'mse' || golden.loss === 'huber' ? 'regression' : 'classification',
    loss: golden.loss,
    optimiser: OPTIMISERS[golden.optimiser],
    batchSize: golden.steps[0]?.feeds.features?.dims[0] ?? 0,
    withGradients: true,
  };
}

export function goldenForward(golden: GoldenCase): Graph {
  const builder = new GraphBuilder(golden.model);
  for (const [name, { dims, data }] of Object.entries(golden.initial)) {
    builder.initializer(name, { dtype: 'float32', dims, data: Float32Array.from(data) });
  }
  const dense = (x: string, name: string, transB: number, outputs?: readonly string[]) =>
    builder.node(
      'Gemm',
      [x, `${name}.weight`, `${name}.bias`],
      { transB: attr.int(transB) },
      outputs ? { outputs } : {},
    );
  const first = golden.steps[0]?.feeds.features?.dims ?? [];
  let x = builder.input('features', 'float32', ['batch', ...first.slice(1)]);
  if (golden.model === 'mlp') {
    x = builder.node('Relu', [dense(x, 'dense_0', 1)]);
    if (golden.steps[0]?.feeds.dropout_key) {
      x = builder.node('Dropout', [x, builder.scalar(0.5)], {}, { name: 'drop' });
    }
    x = builder.node('Tanh', [dense(x, 'dense_1', 0)]);
    dense(x, 'dense_2', 1, ['logits']);
  } else {
    x = builder.node('Conv', [x, 'conv_0.weight'], {
      pads: attr.ints([1, 1, 1, 1]),
    });
    const norm = ['scale', 'bias', 'running_mean', 'running_var'].map((part) => `norm_0.${part}`);
    x = builder.node(
      'BatchNormalization',
      [x, ...norm],
      { epsilon: attr.float(1e-3), momentum: attr.float(0.8) },
      { name: 'norm_0' },
    );
    const two = { kernel_shape: attr.ints([2, 2]) };
    x = builder.node('MaxPool', [builder.node('Relu', [x])], {
      ...two,
      strides: attr.ints([2, 2]),
    });
    x = builder.node('Conv', [x, 'conv_1.weight', 'conv_1.bias'], {
      pads: attr.ints([1, 1, 1, 1]),
      strides: attr.ints([2, 2]),
    });
    x = builder.node('AveragePool', [builder.node('Gelu', [x])], two);
    x = builder.node('Flatten', [builder.node('GlobalAveragePool', [x])]);
    dense(x, 'dense_0', 1, ['logits']);
  }
  const classes = golden.initial[golden.model === 'mlp' ? 'dense_2.bias' : 'dense_0.bias']?.dims[0];
  builder.output('logits', 'float32', ['batch', classes ?? 0]);
  return builder.build();
}

/** All feeds of step `index` (0-based). */
export function goldenFeeds(golden: GoldenCase, index: number): Map<string, Feed> {
  const step = golden.steps[index];
  if (!step) throw new Error(`The case ${golden.name} has no step ${index}.`);
  const regression = golden.loss === 'mse' || golden.loss === 'huber';
  const feeds = new Map<string, Feed>();
  for (const [name, { data }] of Object.entries(step.feeds)) {
    const whole = name === 'dropout_key' || (name === 'labels' && !regression);
    feeds.set(name, whole ? Int32Array.from(data) : Float32Array.from(data));
  }
  feeds.set('learning_rate', Float32Array.of(step.learning_rate));
  feeds.set('step', Float32Array.of(index + 1));
  feeds.set('clip_norm', Float32Array.of(golden.clip_norm));
  return feeds;
}

/** ‖a − b‖₂ / max(‖b‖₂, 1e-6), the distance in which executors are compared. */
export function relativeDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0;
  let size = 0;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i] ?? NaN, b[i] ?? NaN];
    difference += (x - y) ** 2;
    size += y ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(size), 1e-6);
}
