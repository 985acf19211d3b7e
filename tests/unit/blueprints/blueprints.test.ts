import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { buildBlueprint } from '../../../src/blueprints/build';
import { checkBlueprint } from '../../../src/blueprints/limits';
import { describeBlueprint, totalsOf } from '../../../src/blueprints/plan';
import { countWeights, initializerRoles, trainableNames } from '../../../src/blueprints/weights';
import { sizeOf } from '../../../src/core/dtype';
import { AppError } from '../../../src/core/errors';
import { withOutputs } from '../../../src/onnx/compose';
import { graphHash } from '../../../src/onnx/hash';
import { writeModel } from '../../../src/onnx/writer';
import type { OwnBlueprint } from '../../../src/protocol/entities';

const cnn = (change: Partial<Extract<OwnBlueprint, { kind: 'cnn' }>>): OwnBlueprint => ({
  kind: 'cnn',
  channels: [4, 6],
  batchNorm: true,
  pool: 'max',
  globalPool: false,
  dense: 8,
  dropout: 0.5,
  ...change,
});
const mlp = (change: Partial<Extract<OwnBlueprint, { kind: 'mlp' }>>): OwnBlueprint => ({
  kind: 'mlp',
  hidden: [7, 5],
  activation: 'relu',
  dropout: 0.2,
  ...change,
});

const CASES: readonly (readonly [string, OwnBlueprint, readonly number[], number])[] = [
  ['linear', { kind: 'linear' }, [6], 3],
  ['linear on pictures', { kind: 'linear' }, [1, 4, 5], 2],
  ['mlp relu', mlp({}), [6], 3],
  ['mlp tanh', mlp({ activation: 'tanh' }), [6], 1],
  ['mlp sigmoid', mlp({ activation: 'sigmoid', dropout: 0 }), [6], 3],
  ['mlp gelu on pictures', mlp({ activation: 'gelu' }), [2, 3, 3], 3],
  ['mlp without hidden layers', mlp({ hidden: [] }), [6], 3],
  ['cnn', cnn({}), [1, 12, 12], 10],
  ['cnn, odd sizes', cnn({ channels: [3, 4, 5] }), [3, 13, 9], 4],
  ['cnn, average and global pool', cnn({ pool: 'average', globalPool: true }), [1, 8, 11], 2],
  ['cnn, no batch norm, no dense', cnn({ batchNorm: false, dense: 0 }), [2, 7, 7], 3],
  ['cnn down to one pixel', cnn({}), [1, 4, 4], 3],
];

function errorOf(action: () => unknown): AppError {
  try {
    action();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('Nothing was thrown.');
}

describe.each(CASES)('%s', (_, config, featureDims, outputs) => {
  const graph = buildBlueprint(config, { featureDims, outputs, seed: 4 });
  const layers = describeBlueprint(config, featureDims, outputs);

  it('has the shapes it describes, on onnxruntime', async () => {
    const watched = graph.nodes.map((node, index) => ({
      name: node.outputs[0] ?? '',
      dtype: 'float32' as const,
      dims: ['batch', ...(layers[index]?.outputDims ?? [])],
    }));
    const session = await InferenceSession.create(writeModel(withOutputs(graph, watched)));
    const dims = [3, ...featureDims];
    const data = Float32Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(i));
    const result = await session.run({ features: new OrtTensor('float32', data, dims) });
    expect(graph.nodes.map((node) => node.op)).toEqual(layers.map((layer) => layer.op));
    for (const [index, { name }] of watched.entries()) {
      expect(result[name]?.dims, name).toEqual([3, ...(layers[index]?.outputDims ?? [])]);
    }
    const logits = result['logits']?.data as Float32Array;
    expect(logits.length).toBe(3 * outputs);
    expect(logits.every(Number.isFinite)).toBe(true);
    expect(new Set(logits).size).toBeGreaterThan(1);
  });

  it('has the weights it describes', () => {
    const { weights, bytes } = totalsOf(layers);
    expect(countWeights(graph)).toBe(weights);
    const { statistics, constants } = initializerRoles(graph);
    const running = statistics.reduce(
      (sum, name) => sum + (graph.initializers.get(name)?.data.length ?? NaN),
      0,
    );
    expect(bytes).toBe((weights + running) * 4);
    // All that is left is dropout's ratio.
    expect(constants.length).toBe(graph.nodes.some((node) => node.op === 'Dropout') ? 1 : 0);
  });

  it('follows the seed and nothing else', async () => {
    const again = buildBlueprint(config, { featureDims, outputs, seed: 4 });
    const other = buildBlueprint(config, { featureDims, outputs, seed: 5 });
    expect(await graphHash(again)).toBe(await graphHash(graph));
    expect(await graphHash(other)).not.toBe(await graphHash(graph));
  });
});

describe('initialisers', () => {
  const deviation = (values: Iterable<unknown>): number => {
    const numbers = [...values].map(Number);
    return Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0) / numbers.length);
  };

  it('have the variance that the activation asks for', () => {
    const options = { featureDims: [200], outputs: 100, seed: 1 };
    for (const [activation, first] of [
      ['relu', Math.sqrt(2 / 200)],
      ['tanh', Math.sqrt(2 / 500)],
    ] as const) {
      const graph = buildBlueprint(mlp({ hidden: [300], activation }), options);
      const found = deviation(graph.initializers.get('dense1.weight')?.data ?? []);
      expect(found / first).toBeCloseTo(1, 1);
      const last = deviation(graph.initializers.get('output.weight')?.data ?? []);
      expect(last / Math.sqrt(2 / 400)).toBeCloseTo(1, 1);
      expect(deviation(graph.initializers.get('dense1.bias')?.data ?? [])).toBe(0);
    }
  });

  it('carry their names and roles', () => {
    const graph = buildBlueprint(cnn({ channels: [4] }), {
      featureDims: [1, 8, 8],
      outputs: 2,
      seed: 1,
    });
    expect(trainableNames(graph)).toEqual([
      'block1.conv.weight',
      'block1.bn.scale',
      'block1.bn.bias',
      'dense1.weight',
      'dense1.bias',
      'output.weight',
      'output.bias',
    ]);
    expect(initializerRoles(graph).statistics).toEqual([
      'block1.bn.running_mean',
      'block1.bn.running_var',
    ]);
    expect(graph.initializers.get('block1.conv.weight')?.dims).toEqual([4, 1, 3, 3]);
    expect(graph.initializers.get('dense1.weight')?.dims).toEqual([8, 64]);
  });

  it('do not change when a layer before them does', () => {
    const options = { featureDims: [5], outputs: 2, seed: 9 };
    const one = buildBlueprint(mlp({ hidden: [6, 4] }), options);
    const two = buildBlueprint(mlp({ hidden: [6, 4], dropout: 0, activation: 'gelu' }), options);
    expect(two.initializers.get('dense2.weight')).toEqual(one.initializers.get('dense2.weight'));
  });
});

describe('refusals', () => {
  it('names the block in which a picture becomes too small', () => {
    const error = errorOf(() =>
      buildBlueprint(cnn({ channels: [2, 2, 2, 2] }), {
        featureDims: [1, 12, 7],
        outputs: 2,
        seed: 1,
      }),
    );
    expect(error.code).toBe('blueprint/too-small');
    expect(error.message).toContain('3 × 1');
    expect(error.data).toEqual({ block: 'block3', height: 3, width: 1 });
  });

  it('wants a picture for a CNN, and features at all', () => {
    expect(errorOf(() => describeBlueprint(cnn({}), [6], 2)).code).toBe('blueprint/needs-image');
    expect(errorOf(() => describeBlueprint(mlp({}), [0], 2)).code).toBe('blueprint/no-features');
    expect(errorOf(() => describeBlueprint(mlp({}), [4], 0)).code).toBe('blueprint/no-features');
  });

  it.each<[string, OwnBlueprint]>([
    ['number of hidden layers', mlp({ hidden: [1, 1, 1, 1, 1, 1, 1] })],
    ['width of hidden layer 2', mlp({ hidden: [5, 2049] })],
    ['width of hidden layer 1', mlp({ hidden: [0.5] })],
    ['dropout', mlp({ dropout: 1 })],
    ['dropout', mlp({ dropout: NaN })],
    ['number of blocks', cnn({ channels: [] })],
    ['number of channels of block 1', cnn({ channels: [513] })],
    ['width of the dense layer', cnn({ dense: -1 })],
  ])('keeps the limits: %s', (field, config) => {
    const error = errorOf(() => {
      checkBlueprint(config);
    });
    expect(error.code).toBe('blueprint/limits');
    expect(error.data['field']).toBe(field);
  });
});
