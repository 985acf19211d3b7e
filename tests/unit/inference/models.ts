// Small models as the trainer would leave them: recipe and network in one graph, raw inputs, named outputs.
import { normals, PhiloxStream } from '../../../src/core/philox';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';
import type { ModelInput } from '../../../src/inference/runtime';
import type { FittedRecipe } from '../../../src/protocol/entities';

const floats = (
  builder: GraphBuilder,
  name: string,
  dims: number[],
  deviation: number,
  offset = 0,
) =>
  builder.initializer(name, {
    dtype: 'float32',
    dims,
    data: normals(
      dims.reduce((product, dim) => product * dim, 1),
      deviation,
      42,
      name,
    ).map((value) => value + offset),
  });

const positive = (builder: GraphBuilder, name: string, size: number) =>
  builder.initializer(name, {
    dtype: 'float32',
    dims: [size],
    data: normals(size, 1, 42, name).map((value) => 0.5 + Math.abs(value)),
  });

export const digitsRecipe: FittedRecipe = {
  format: 1,
  input: { type: 'images', channels: 1, height: 28, width: 28 },
  featureDims: [1, 28, 28],
  target: {
    task: 'classification',
    column: 'digit',
    classes: Array.from({ length: 10 }, (_, digit) => String(digit)),
  },
};

/** uint8 pictures -> /255 -> blocks of conv, batch norm, relu, pool -> global pool or flatten -> dense. */
export function digitsCnn(channels: readonly number[] = [16, 32, 64], globalPool = true): Graph {
  const builder = new GraphBuilder('digits');
  builder.input('image', 'uint8', ['batch', 1, 28, 28]);
  const pixels = builder.node('Cast', ['image'], { to: attr.int(1) });
  builder.node('Mul', [pixels, builder.scalar(1 / 255)], {}, { outputs: ['features'] });
  let value = 'features';
  let before = 1;
  let side = 28;
  for (const [index, width] of channels.entries()) {
    const weight = floats(
      builder,
      `conv${index}/W`,
      [width, before, 3, 3],
      Math.sqrt(2 / (before * 9)),
    );
    const conv = builder.node(
      'Conv',
      [value, weight, floats(builder, `conv${index}/B`, [width], 0.05)],
      { kernel_shape: attr.ints([3, 3]), pads: attr.ints([1, 1, 1, 1]) },
    );
    const norm = builder.node(
      'BatchNormalization',
      [
        conv,
        positive(builder, `bn${index}/scale`, width),
        floats(builder, `bn${index}/bias`, [width], 0.1),
        floats(builder, `bn${index}/mean`, [width], 0.1),
        positive(builder, `bn${index}/var`, width),
      ],
      { epsilon: attr.float(1e-5) },
    );
    value = builder.node('Relu', [norm]);
    value = builder.node('MaxPool', [value], {
      kernel_shape: attr.ints([2, 2]),
      strides: attr.ints([2, 2]),
    });
    before = width;
    side = Math.floor(side / 2);
  }
  if (globalPool) value = builder.node('GlobalAveragePool', [value]);
  value = builder.node('Flatten', [value]);
  const inner = globalPool ? before : before * side * side;
  builder.node(
    'Gemm',
    [
      value,
      floats(builder, 'head/W', [10, inner], Math.sqrt(1 / inner)),
      floats(builder, 'head/B', [10], 0.1),
    ],
    { transB: attr.int(1) },
    { outputs: ['logits'] },
  );
  builder.node('Softmax', ['logits'], { axis: attr.int(-1) }, { outputs: ['probabilities'] });
  builder.output('logits', 'float32', ['batch', 10]);
  builder.output('probabilities', 'float32', ['batch', 10]);
  builder.metadata('terrarium.recipe', JSON.stringify(digitsRecipe));
  return builder.build();
}

export const tableRecipe: FittedRecipe = {
  format: 1,
  input: {
    type: 'table',
    numeric: [
      { column: 'length', impute: 44, mean: 44, scale: 5, min: 32, max: 60 },
      { column: 'mass', impute: 4000, mean: 4200, scale: 800, min: 2700, max: 6300 },
    ],
    categorical: [
      { column: 'island', vocabulary: ['Biscoe', 'Dream', 'Torgersen'], typical: 'Biscoe' },
    ],
  },
  featureDims: [7],
  target: { task: 'classification', column: 'species', classes: ['Adelie', 'Chinstrap', 'Gentoo'] },
};

/** Impute, standardise and one-hot, then a hidden layer: what a table model looks like. */
export function tableMlp(hidden = 64, regression = false): Graph {
  const builder = new GraphBuilder('table');
  builder.input('numeric', 'float32', ['batch', 2]);
  builder.input('categorical', 'int64', ['batch', 1]);
  const missing = builder.node('IsNaN', ['numeric']);
  const filled = builder.node('Where', [
    missing,
    builder.constant('float32', [2], [44, 4000]),
    'numeric',
  ]);
  const centred = builder.node('Sub', [filled, builder.constant('float32', [2], [44, 4200])]);
  const scaled = builder.node('Div', [centred, builder.constant('float32', [2], [5, 800])]);
  const hot = builder.node('OneHot', [
    'categorical',
    builder.constant('int64', [], [5]),
    builder.constant('float32', [2], [0, 1]),
  ]);
  const flat = builder.node('Flatten', [hot]);
  builder.node('Concat', [scaled, flat], { axis: attr.int(1) }, { outputs: ['features'] });
  const first = builder.node('Gemm', [
    'features',
    floats(builder, 'dense0/W', [7, hidden], 0.5),
    floats(builder, 'dense0/B', [hidden], 0.1),
  ]);
  const active = builder.node('Relu', [first]);
  const width = regression ? 1 : 3;
  const output = builder.node(
    'Gemm',
    [
      active,
      floats(builder, 'dense1/W', [hidden, width], 0.3),
      floats(builder, 'dense1/B', [width], 0.1),
    ],
    {},
    { outputs: [regression ? 'standardised' : 'logits'] },
  );
  if (regression) {
    const wide = builder.node('Mul', [output, builder.scalar(800)]);
    builder.node('Add', [wide, builder.scalar(4200)], {}, { outputs: ['prediction'] });
    builder.output('prediction', 'float32', ['batch', 1]);
  } else {
    builder.node('Softmax', [output], { axis: attr.int(-1) }, { outputs: ['probabilities'] });
    builder.output('logits', 'float32', ['batch', 3]);
    builder.output('probabilities', 'float32', ['batch', 3]);
  }
  builder.metadata('terrarium.recipe', JSON.stringify(tableRecipe));
  return builder.build();
}

/** Blobs of ink on black: like handwriting, most pixels are 0. */
export function pictures(count: number): readonly ModelInput[] {
  const stream = new PhiloxStream(3, 'pictures');
  const data = new Uint8Array(count * 784);
  for (let image = 0; image < count; image++) {
    let [x, y] = [8 + stream.below(12), 8 + stream.below(12)];
    for (let dot = 0; dot < 60; dot++) {
      x = Math.max(2, Math.min(25, x + stream.below(3) - 1));
      y = Math.max(2, Math.min(25, y + stream.below(3) - 1));
      for (const [dx, dy] of [
        [0, 0],
        [1, 0],
        [0, 1],
      ] as const)
        data[image * 784 + (y + dy) * 28 + x + dx] = 160 + stream.below(96);
    }
  }
  return [{ name: 'image', dtype: 'uint8', dims: [count, 1, 28, 28], data }];
}

export function tableRows(count: number): readonly ModelInput[] {
  const stream = new PhiloxStream(4, 'rows');
  const numeric = new Float32Array(count * 2);
  const categorical = new BigInt64Array(count);
  for (let row = 0; row < count; row++) {
    numeric[row * 2] = stream.below(20) === 0 ? NaN : 44 + 5 * stream.normal();
    numeric[row * 2 + 1] = 4200 + 800 * stream.normal();
    categorical[row] = BigInt(stream.below(5));
  }
  return [
    { name: 'numeric', dtype: 'float32', dims: [count, 2], data: numeric },
    { name: 'categorical', dtype: 'int64', dims: [count, 1], data: categorical },
  ];
}
