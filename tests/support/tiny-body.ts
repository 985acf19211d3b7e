import { normals, PhiloxStream } from '../../src/core/philox';
import { GraphBuilder } from '../../src/onnx/builder';
import { attr } from '../../src/onnx/graph';
import type { Graph } from '../../src/onnx/graph';
import type { FittedRecipe } from '../../src/protocol/entities';
import type { Rows } from './in-memory-batches';

export const SIDE = 8;

/** A small convolutional classifier of five classes, as an exporter might leave it: two blocks, pooling, a Gemm. */
export function tinyClassifier(seed = 5): Graph {
  const builder = new GraphBuilder('tiny');
  const weight = (name: string, dims: readonly number[], deviation: number): string =>
    builder.initializer(name, {
      dtype: 'float32',
      dims,
      data: normals(
        dims.reduce((a, b) => a * b, 1),
        deviation,
        seed,
        name,
      ),
    });
  const filled = (name: string, length: number, value: number): string =>
    builder.initializer(name, {
      dtype: 'float32',
      dims: [length],
      data: new Float32Array(length).fill(value),
    });
  let x = builder.input('pixels', 'float32', ['batch', 1, SIDE, SIDE]);
  x = builder.node(
    'Conv',
    [x, weight('block1.conv.weight', [6, 1, 3, 3], 0.5)],
    { kernel_shape: attr.ints([3, 3]), pads: attr.ints([1, 1, 1, 1]) },
    { name: 'block1.conv' },
  );
  x = builder.node(
    'BatchNormalization',
    [
      x,
      filled('block1.norm.scale', 6, 1),
      filled('block1.norm.bias', 6, 0.1),
      filled('block1.norm.mean', 6, 0.05),
      filled('block1.norm.var', 6, 0.8),
    ],
    { epsilon: attr.float(1e-5), momentum: attr.float(0.9) },
    { name: 'block1.norm' },
  );
  x = builder.node('Relu', [x], {}, { name: 'block1.relu' });
  x = builder.node(
    'Conv',
    [x, weight('block2.conv.weight', [12, 6, 1, 1], 0.4), filled('block2.conv.bias', 12, 0)],
    { kernel_shape: attr.ints([1, 1]) },
    { name: 'block2.conv' },
  );
  x = builder.node('Relu', [x], {}, { name: 'block2.relu' });
  x = builder.node('GlobalAveragePool', [x], {}, { name: 'top.pool' });
  x = builder.node('Flatten', [x], { axis: attr.int(1) }, { name: 'top.flatten' });
  x = builder.node(
    'Gemm',
    [x, weight('classifier.weight', [5, 12], 0.3), filled('classifier.bias', 5, 0)],
    { transB: attr.int(1) },
    { name: 'classifier' },
  );
  builder.output(x, 'float32', ['batch', 5]);
  return builder.build();
}

/** Stripes across, stripes down, and noise: what a mean over places cannot tell apart without filters. */
export function stripes(count: number, seed: number): Rows {
  const stream = new PhiloxStream(seed, 'stripes');
  const features: number[][] = [];
  const labels: number[] = [];
  for (let i = 0; i < count; i++) {
    const label = i % 3;
    const phase = stream.uniform() < 0.5 ? 0 : 1;
    const picture: number[] = [];
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) {
        const level =
          label === 2 ? Math.round(stream.uniform()) : ((label === 0 ? y : x) + phase) % 2;
        picture.push(level + 0.2 * stream.normal());
      }
    }
    features.push(picture);
    labels.push(label);
  }
  return { features, labels };
}

export const STRIPES_RECIPE: FittedRecipe = {
  format: 1,
  input: { type: 'images', channels: 1, height: SIDE, width: SIDE },
  featureDims: [1, SIDE, SIDE],
  target: { task: 'classification', column: 'label', classes: ['across', 'down', 'noise'] },
};
