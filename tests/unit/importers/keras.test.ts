/** Keras models made and saved by TensorFlow.js itself answer the same after they became ONNX. */
import * as tf from '@tensorflow/tfjs';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { importKeras } from '../../../src/importers/keras/import';
import type { KerasFiles } from '../../../src/importers/keras/import';
import { writeModel } from '../../../src/onnx/writer';

const { layers } = tf;

/** The files that `model.save` would write. */
async function save(model: tf.LayersModel): Promise<KerasFiles> {
  let files: KerasFiles | undefined;
  await model.save(
    tf.io.withSaveHandler((artifacts) => {
      const { modelTopology, weightSpecs, weightData } = artifacts;
      const bytes =
        weightData instanceof ArrayBuffer
          ? weightData
          : tf.io.concatenateArrayBuffers(weightData ?? []);
      const manifest = [{ paths: ['./weights.bin'], weights: weightSpecs }];
      files = {
        modelJson: JSON.stringify({
          format: 'layers-model',
          modelTopology,
          weightsManifest: manifest,
        }),
        shards: new Map([['weights.bin', new Uint8Array(bytes)]]),
      };
      return Promise.resolve({
        modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' },
      });
    }),
  );
  if (files === undefined) throw new Error('The model was not saved.');
  return files;
}

/** Random weights everywhere, so that zero biases and unit scales hide nothing. Variances stay positive. */
function shake(model: tf.LayersModel): void {
  model.weights.forEach((weight, index) => {
    const random = tf.randomUniform(weight.shape as number[], 0.1, 0.6, 'float32', index + 1);
    weight.write(weight.name.includes('variance') ? random : random.sub(0.35));
  });
}

function nchw(x: tf.Tensor): tf.Tensor {
  return x.rank === 4 ? x.transpose([0, 3, 1, 2]) : x;
}

async function compare(model: tf.LayersModel, dims: number[], integers = 0): Promise<void> {
  shake(model);
  const input =
    integers > 0
      ? tf.randomUniform([3, ...dims], 0, integers, 'float32', 99).floor()
      : tf.randomUniform([3, ...dims], -1, 1, 'float32', 99);
  const expected = nchw(model.predict(input) as tf.Tensor);
  const { graph } = importKeras(await save(model));
  const fed = nchw(input);
  const name = graph.inputs[0]?.name ?? '';
  const data = fed.dataSync() as Float32Array;
  const found = [
    ...runGraph(graph, new Map([[name, { dtype: 'float32', dims: fed.shape, data }]])).values(),
  ][0];
  expect(found?.dims).toEqual(expected.shape);
  const wanted = [...expected.dataSync()];
  wanted.forEach((value, at) => expect(found?.data[at]).toBeCloseTo(value, 4));

  const session = await InferenceSession.create(writeModel(graph));
  const answers = await session.run({ [name]: new OrtTensor('float32', data, fed.shape) });
  const answer = Object.values(answers)[0]?.data as Float32Array;
  wanted.forEach((value, at) => expect(answer[at]).toBeCloseTo(value, 4));
}

describe('Keras models become ONNX', () => {
  it('dense layers with every activation', async () => {
    const model = tf.sequential();
    model.add(layers.dense({ units: 6, inputShape: [5], activation: 'relu' }));
    for (const activation of [
      'elu',
      'relu6',
      'selu',
      'sigmoid',
      'softplus',
      'softsign',
      'tanh',
      'hardSigmoid',
      'swish',
      'mish',
      'linear',
    ] as const) {
      model.add(layers.dense({ units: 6, activation, useBias: activation !== 'tanh' }));
    }
    model.add(layers.leakyReLU({ alpha: 0.2 }));
    model.add(layers.elu({ alpha: 1 }));
    model.add(layers.batchNormalization({}));
    model.add(layers.dropout({ rate: 0.5 }));
    model.add(layers.dense({ units: 3, activation: 'softmax' }));
    await compare(model, [5]);
  });

  it('convolutions, pools and norms, padded and not', async () => {
    const model = tf.sequential();
    model.add(
      layers.zeroPadding2d({
        padding: [
          [0, 1],
          [1, 2],
        ],
        inputShape: [11, 9, 3],
      }),
    );
    model.add(
      layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same', activation: 'relu' }),
    );
    model.add(layers.batchNormalization({ scale: false }));
    model.add(layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same' }));
    model.add(layers.reLU({ maxValue: 6 }));
    model.add(layers.separableConv2d({ filters: 5, kernelSize: 3, padding: 'same' }));
    model.add(layers.maxPooling2d({ poolSize: 2, strides: 1, padding: 'same' }));
    model.add(layers.averagePooling2d({ poolSize: 3, strides: 1, padding: 'same' }));
    model.add(layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' }));
    model.add(layers.upSampling2d({ size: [2, 1] }));
    model.add(layers.conv2d({ filters: 3, kernelSize: [2, 3], dilationRate: 2, useBias: false }));
    model.add(layers.layerNormalization({}));
    model.add(layers.prelu({}));
    model.add(
      layers.cropping2D({
        cropping: [
          [1, 0],
          [0, 1],
        ],
      }),
    );
    model.add(layers.flatten());
    model.add(layers.dense({ units: 2 }));
    await compare(model, [11, 9, 3]);
  });

  it('steps of features', async () => {
    const model = tf.sequential();
    model.add(layers.embedding({ inputDim: 9, outputDim: 4, inputLength: 12 }));
    model.add(layers.conv1d({ filters: 5, kernelSize: 3, padding: 'same', activation: 'relu' }));
    model.add(layers.batchNormalization({}));
    model.add(layers.maxPooling1d({ poolSize: 2 }));
    model.add(layers.conv1d({ filters: 4, kernelSize: 2, strides: 2 }));
    model.add(layers.dense({ units: 3 }));
    model.add(layers.globalAveragePooling1d({}));
    await compare(model, [12], 9);
  });

  it('a network with branches, and reshapes that mix channels', async () => {
    const input = tf.input({ shape: [6, 6, 4] });
    const conv = (filters: number, x: tf.SymbolicTensor) =>
      layers.conv2d({ filters, kernelSize: 1 }).apply(x) as tf.SymbolicTensor;
    const a = conv(4, input);
    const sum = layers.add().apply([a, input]) as tf.SymbolicTensor;
    const joined = layers.concatenate().apply([sum, conv(2, input)]) as tf.SymbolicTensor;
    const squeezed = layers.globalAveragePooling2d({}).apply(joined) as tf.SymbolicTensor;
    const gate = layers
      .reshape({ targetShape: [1, 1, 6] })
      .apply(
        layers.dense({ units: 6, activation: 'sigmoid' }).apply(squeezed),
      ) as tf.SymbolicTensor;
    const scaled = layers.multiply().apply([joined, gate]) as tf.SymbolicTensor;
    const folded = layers.reshape({ targetShape: [9, 4, 6] }).apply(scaled) as tf.SymbolicTensor;
    const best = layers
      .maximum()
      .apply([
        folded,
        layers.activation({ activation: 'softmax' }).apply(folded) as tf.SymbolicTensor,
      ]);
    const out = layers.dense({ units: 3 }).apply(best) as tf.SymbolicTensor;
    await compare(tf.model({ inputs: input, outputs: out }), [6, 6, 4]);
  });

  it('a body and a head nested as Teachable Machine nests them', async () => {
    const body = tf.sequential();
    body.add(
      layers.conv2d({
        filters: 4,
        kernelSize: 3,
        strides: 2,
        inputShape: [16, 16, 3],
        name: 'Conv1',
      }),
    );
    body.add(layers.globalAveragePooling2d({ name: 'pooled' }));
    const head = tf.sequential();
    head.add(layers.dense({ units: 8, activation: 'relu', inputShape: [4], name: 'dense_Dense1' }));
    head.add(
      layers.dense({ units: 2, activation: 'softmax', useBias: false, name: 'dense_Dense2' }),
    );
    const model = tf.sequential();
    model.add(body);
    model.add(head);
    await compare(model, [16, 16, 3]);
    const metadataJson = JSON.stringify({
      tmVersion: '2.4.7',
      labels: ['cat', 'dog'],
      imageSize: 16,
    });
    const read = importKeras({ ...(await save(model)), metadataJson });
    expect(read.labels).toEqual(['cat', 'dog']);
    expect(read.pixels).toEqual({ mean: 127.5, std: 127.5 });
  });

  it('weights stored in 16 and 8 bits', async () => {
    const weights = [
      {
        name: 'd/kernel',
        shape: [2, 2],
        dtype: 'float32',
        quantization: { dtype: 'uint8', scale: 0.5, min: -1 },
      },
      { name: 'd/bias', shape: [2], dtype: 'float32', quantization: { dtype: 'float16' } },
    ];
    const layer = {
      class_name: 'Dense',
      config: { name: 'd', units: 2, batch_input_shape: [null, 2] },
    };
    const modelJson = JSON.stringify({
      modelTopology: { class_name: 'Sequential', config: { layers: [layer] } },
      weightsManifest: [{ paths: ['w.bin'], weights }],
    });
    const bytes = Uint8Array.of(0, 2, 4, 6, 0x00, 0x3c, 0x00, 0xc0);
    const { graph } = importKeras({ modelJson, shards: new Map([['w.bin', bytes]]) });
    expect(graph.initializers.get('d/kernel')?.data).toEqual(Float32Array.of(-1, 0, 1, 2));
    expect(graph.initializers.get('d/bias')?.data).toEqual(Float32Array.of(1, -2));
  });
});

describe('what cannot be read is refused by name', () => {
  const layer = (className: string, config: object = {}) => ({
    class_name: className,
    config: { name: 'odd', batch_input_shape: [null, 4], ...config },
  });
  const files = (change: object, shard = new Uint8Array(0)): KerasFiles => ({
    modelJson: JSON.stringify({
      modelTopology: { class_name: 'Sequential', config: { layers: [layer('Flatten')] } },
      weightsManifest: [{ paths: ['w.bin'], weights: [] }],
      ...change,
    }),
    shards: new Map([['w.bin', shard]]),
  });
  const topology = (...list: object[]) => ({
    modelTopology: { class_name: 'Sequential', config: { layers: list } },
  });

  const cases: [string, KerasFiles, RegExp, string][] = [
    ['not JSON', { modelJson: '{', shards: new Map() }, /model\.json is not JSON/, 'import/keras'],
    ['a graph model', files({ format: 'graph-model' }), /graph model/, 'import/keras-graph-model'],
    ['no topology', files({ modelTopology: null }), /no modelTopology/, 'import/keras'],
    [
      'an unknown layer',
      files(topology(layer('Lambda'))),
      /"odd" is a Lambda: a program/,
      'import/keras-code',
    ],
    [
      'an unknown activation',
      files(topology(layer('Activation', { activation: 'toString' }))),
      /toString/,
      'import/keras',
    ],
    ['a missing shard', { ...files({}), shards: new Map() }, /"w\.bin"/, 'import/keras-file'],
    [
      'shards too long',
      files({}, new Uint8Array(3)),
      /take 0 bytes and the shards hold 3/,
      'import/keras',
    ],
    [
      'no input shape',
      files(topology({ class_name: 'Flatten', config: { name: 'f' } })),
      /which shape goes in/,
      'import/keras',
    ],
    [
      'missing weights',
      files(topology(layer('Dense', { units: 2 }))),
      /lack its kernel/,
      'import/keras',
    ],
    [
      'shards too short',
      files({
        weightsManifest: [
          { paths: ['w.bin'], weights: [{ name: 'a', shape: [9], dtype: 'float32' }] },
        ],
      }),
      /end inside the weight "a"/,
      'import/keras',
    ],
    [
      'a loop of layers',
      files({
        modelTopology: {
          class_name: 'Model',
          config: {
            layers: [
              {
                class_name: 'InputLayer',
                name: 'in',
                config: { batch_input_shape: [null, 2] },
                inbound_nodes: [],
              },
              {
                class_name: 'Add',
                name: 'a',
                config: {},
                inbound_nodes: [
                  [
                    ['b', 0, 0, {}],
                    ['in', 0, 0, {}],
                  ],
                ],
              },
              {
                class_name: 'Add',
                name: 'b',
                config: {},
                inbound_nodes: [
                  [
                    ['a', 0, 0, {}],
                    ['in', 0, 0, {}],
                  ],
                ],
              },
            ],
            input_layers: [['in', 0, 0]],
            output_layers: [['b', 0, 0]],
          },
        },
      }),
      /"a", "b" wait for inputs/,
      'import/keras',
    ],
  ];
  it.each(cases)('%s', (_, given, words, code) => {
    let error: unknown;
    try {
      importKeras(given);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).message).toMatch(words);
    expect((error as AppError).code).toBe(code);
  });
});
