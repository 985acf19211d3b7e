/** Models as PyTorch exports them (tools/golden/exported.py), and as Keras does, lose their head and get another. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loraTargets } from '../../../src/autodiff/lora-targets';
import { headGraph, withHead } from '../../../src/autodiff/new-head';
import { bodyBlocks, bodyOf, cutCandidates, findHead } from '../../../src/autodiff/surgery';
import { prepareForeign } from '../../../src/autodiff/foreign';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { AppError } from '../../../src/core/errors';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';
import { readModel } from '../../../src/onnx/reader';
import { tensorOf } from '../../../src/ops/value';
import { randomNumbers, tensorFeeds, uniform } from '../../support/calls';
import { exported, picture, valueAt } from '../../support/exported';
import { runOnnxRuntime } from '../../support/onnxruntime';

const HEAD = { classes: 3, hidden: 0, dropout: 0.1, seed: 11 };

const CASES = [
  {
    name: 'resnet',
    cut: '/Flatten_output_0',
    features: 8,
    classes: 5,
    head: ['/fc/Gemm'],
    blocks: ['conv1', 'layer1.0', 'layer1.1', 'layer2.0', 'layer2.1'],
  },
  {
    name: 'resnet-fixed-batch',
    cut: '/Flatten_output_0',
    features: 8,
    classes: 5,
    head: ['/fc/Gemm'],
    blocks: ['conv1', 'layer1.0', 'layer1.1', 'layer2.0', 'layer2.1'],
  },
  {
    name: 'mobilenet',
    cut: '/Flatten_output_0',
    features: 12,
    classes: 7,
    head: ['/classifier/classifier.1/Gemm'],
    blocks: [
      ...['features.0.0', 'features.1.conv', 'features.2.conv.0', 'features.2.conv.3'],
      ...['features.2.conv.6', 'features.3.conv', 'features.4.0'],
    ],
  },
  {
    name: 'vit',
    cut: '/Gather_1_output_0',
    features: 8,
    classes: 6,
    head: ['/head/Gemm'],
    blocks: [
      ...['patch_embed', 'blocks.0.attn', 'blocks.0.mlp', 'blocks.1.attn', 'blocks.1.mlp'],
      ...['blocks.2.attn', 'blocks.2.mlp'],
    ],
  },
  {
    name: 'bert',
    cut: 'pooled',
    features: 8,
    classes: null,
    head: [],
    blocks: [
      ...['words', 'positions', 'layers.0.attn', 'layers.0.mlp', 'layers.1.attn', 'layers.1.mlp'],
      'pooler',
    ],
  },
];

describe.each(CASES)('$name', ({ name, cut, features, classes, head, blocks }) => {
  it('has its head and its blocks found', () => {
    const found = findHead(exported(name));
    expect({ ...found, blocks: [] }).toEqual({ cut, features, classes, head, blocks: [] });
    expect(found.blocks.map((block) => block.name)).toEqual(blocks);
    const weights = found.blocks.flatMap((block) => block.weights);
    expect(new Set(weights).size).toBe(weights.length);
    expect(found.blocks.at(-1)?.output).toBe(cut);
    // Every initialiser of two or more floats is a weight of a block, of the head, or a running statistic.
    const { initializers } = prepareForeign(exported(name));
    const others = [...initializers].filter(
      ([each, { dtype, data }]) =>
        dtype === 'float32' && data.length > 1 && !weights.includes(each),
    );
    const rest = others.map(([each]) => each).filter((each) => !/running_/.test(each));
    expect(
      rest.every((each) => /^(fc|classifier\.1|head)\./.test(each)),
      rest.join(),
    ).toBe(true);
  });
});

describe.each(CASES.slice(0, 4))('the body of $name', ({ name, cut, features }) => {
  it('gives the value at the cut for any batch, also on onnxruntime', async () => {
    const graph = exported(name);
    const body = bodyOf(graph, cut);
    expect(body.outputs).toEqual([
      { name: 'embedding', dtype: 'float32', dims: ['batch', features] },
    ]);
    // The exported graph itself may know only one row.
    const one = picture(graph, 1);
    const alone = valueAt(graph, cut, one);
    expect(valueAt(body, 'embedding', one).data).toEqual(alone.data);
    const feeds = picture(graph, 3);
    const expected = valueAt(body, 'embedding', feeds);
    expect(expected.dims).toEqual([3, features]);
    const found = (await runOnnxRuntime(body, tensorFeeds(feeds))).get('embedding');
    expected.data.forEach((value, i) => expect(found?.data[i]).toBeCloseTo(value, 4));
  });

  it('takes a new head that learns on cached features as it would on the whole', () => {
    const body = bodyOf(exported(name), cut);
    const options = { ...HEAD, hidden: 4 };
    const whole = withHead(body, options);
    expect(whole.inputs.map((input) => [input.name, input.dims[0]])).toEqual([
      ['features', 'batch'],
    ]);
    expect(whole.outputs).toEqual([{ name: 'logits', dtype: 'float32', dims: ['batch', 3] }]);
    const feeds = picture(whole, 2);
    const logits = valueAt(whole, 'logits', feeds);
    const head = headGraph(features, options);
    const cached = valueAt(whole, 'embedding', feeds);
    const again = runGraph(head, new Map([['features', cached]])).get('logits');
    expect(again?.data).toEqual(logits.data);
    for (const [weight, tensor] of head.initializers) {
      expect(whole.initializers.get(weight), weight).toEqual(tensor);
    }
    expect(bodyBlocks(whole).map((block) => block.parameters)).toEqual(
      findHead(exported(name)).blocks.map((block) => block.parameters),
    );
  });

  it('can be cut at every candidate', () => {
    const graph = exported(name);
    const candidates = cutCandidates(graph);
    expect(candidates[0]).toMatchObject({ value: cut, features });
    expect(candidates.length).toBeGreaterThan(3);
    for (const { value, features: width } of candidates) {
      const body = bodyOf(graph, value);
      expect(valueAt(body, 'embedding', picture(graph, 2)).dims).toEqual([2, width]);
    }
  });
});

/** As tf2onnx writes Keras: pictures channels last, transposes around convolutions, the node named as its output. */
function keras(): Graph {
  const builder = new GraphBuilder('keras');
  const random = randomNumbers(4);
  const weight = (name: string, dims: readonly number[]) =>
    builder.initializer(name, tensorOf(uniform(random, dims)));
  const named = (name: string) => ({ name, outputs: [name] });
  let x = builder.input('input_1', 'float32', ['unk__1', 8, 8, 3]);
  x = builder.node('Transpose', [x], { perm: attr.ints([0, 3, 1, 2]) }, named('model/Transpose'));
  const mean = weight('model/normalization/mean', [1, 3, 1, 1]);
  x = builder.node('Sub', [x, mean], {}, named('model/normalization/Sub'));
  for (const [block, from, to] of [
    ['stem', 3, 4],
    ['block1a', 4, 4],
    ['block2a', 4, 6],
    ['top', 6, 8],
  ] as const) {
    const path = `model/${block}_conv/Conv2D`;
    const kernel = weight(`${path}/kernel`, [to, from, 3, 3]);
    x = builder.node('Conv', [x, kernel], { pads: attr.ints([1, 1, 1, 1]) }, named(path));
    x = builder.node('Relu', [x], {}, named(`model/${block}_act/Relu`));
  }
  x = builder.node('Transpose', [x], { perm: attr.ints([0, 2, 3, 1]) }, named('model/Transpose_1'));
  x = builder.node(
    'ReduceMean',
    [x, builder.ints([1, 2])],
    { keepdims: attr.int(0) },
    named('model/avg_pool/Mean'),
  );
  x = builder.node('MatMul', [x, weight('dense/kernel', [8, 10])], {}, named('dense/MatMul'));
  x = builder.node('Add', [x, weight('dense/bias', [10])], {}, named('dense/BiasAdd'));
  x = builder.node('Softmax', [x], {}, named('predictions'));
  builder.output(x, 'float32', ['unk__1', 10]);
  return builder.build();
}

describe('models of other exporters', () => {
  it('the backbone that comes with the studio, stored in half precision', () => {
    const file = new URL('../../../static/backbones/efficientnet-lite0.onnx', import.meta.url);
    const graph = readModel(new Uint8Array(readFileSync(file)));
    const found = findHead(graph);
    expect(found).toMatchObject({ cut: 'top/flatten/out', features: 1280, classes: 1000 });
    expect(found.blocks.map(({ name }) => name)).toEqual([
      'stem.conv',
      ...Array.from({ length: 16 }, (_, index) => `block_${String(index + 1).padStart(2, '0')}`),
      'top.conv',
    ]);
    const all = found.blocks.reduce((sum, { parameters }) => sum + parameters, 0);
    // All of its weights but those of the classifier: 1,280 · 1,000 + 1,000.
    expect(all).toBe(4_652_008 - 1_281_000);
    const body = bodyOf(graph, found.cut, { inputDims: [3, 32, 32] });
    expect(body.nodes.some(({ op }) => op === 'Cast')).toBe(false);
    const whole = withHead(body, HEAD);
    expect(loraTargets(whole, 'block_1*')).toHaveLength(14);
    const feeds = new Map([['features', uniform(randomNumbers(1), [1, 3, 32, 32])]]);
    expect(valueAt(whole, 'logits', feeds).data.every(Number.isFinite)).toBe(true);
  });

  it('Keras: MatMul and Add under a Softmax, features averaged over the last two axes but one', () => {
    const found = findHead(keras());
    expect(found).toMatchObject({
      cut: 'model/avg_pool/Mean',
      features: 8,
      classes: 10,
      head: ['dense/MatMul', 'dense/BiasAdd', 'predictions'],
    });
    expect(found.blocks.map(({ name }) => name)).toEqual(
      ['stem', 'block1a', 'block2a', 'top'].map((block) => `model.${block}_conv.Conv2D`),
    );
    expect(found.blocks.flatMap(({ weights }) => weights)).not.toContain(
      'model/normalization/mean',
    );
    // Cut at the channels-last feature map: the mean is taken over positions all the same.
    const body = bodyOf(keras(), 'model/Transpose_1');
    const feeds = new Map([['input_1', uniform(randomNumbers(2), [2, 8, 8, 3])]]);
    expect(valueAt(body, 'embedding', feeds).data).toEqual(
      valueAt(keras(), 'model/avg_pool/Mean', feeds).data,
    );
  });

  it('a 1 × 1 convolution as classifier, half-precision weights and Constant nodes', () => {
    const builder = new GraphBuilder('half');
    const half = (dims: readonly number[]) =>
      tensorOf({ ...uniform(randomNumbers(dims.length), dims), dtype: 'float16' });
    const x = builder.input('features', 'float16', ['N', 3, 4, 4]);
    builder.nodes(
      'Constant',
      [],
      1,
      { value: attr.tensor(half([6, 3, 3, 3])) },
      { outputs: ['w'] },
    );
    const map = builder.node('Relu', [builder.node('Conv', [x, 'w'])], {}, { outputs: ['map'] });
    const pooled = builder.node('GlobalAveragePool', [map], {}, { outputs: ['pooled'] });
    const kernel = builder.initializer('head.weight', half([5, 6, 1, 1]));
    const scores = builder.node('Conv', [pooled, kernel]);
    builder.node('Flatten', [scores], {}, { outputs: ['logits'] });
    builder.output('logits', 'float16', ['N', 5]);
    const graph = builder.build();
    expect(findHead(graph)).toMatchObject({ cut: 'pooled', features: 6, classes: 5 });
    const body = bodyOf(graph, 'pooled');
    expect(body.inputs[0]?.dtype).toBe('float32');
    expect(body.initializers.get('w')?.dtype).toBe('float32');
    // Its input is called as ours, its classifier's weight as ours: neither gets in the way.
    const whole = withHead(body, HEAD);
    expect(whole.initializers.get('head.weight')?.dims).toEqual([3, 6]);
    const feeds = new Map([['features', uniform(randomNumbers(1), [2, 3, 4, 4])]]);
    expect(valueAt(whole, 'logits', feeds).dims).toEqual([2, 3]);
  });
});

describe('what cannot be cut', () => {
  const codeOf = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return error instanceof AppError ? error.code : String(error);
    }
    return 'nothing thrown';
  };

  it('is said with a code', () => {
    const detector = exported('resnet');
    const maps = {
      ...detector,
      outputs: [{ name: '/maxpool/MaxPool_output_0', dtype: 'float32', dims: [] }],
    } as const;
    expect(codeOf(() => findHead(maps))).toBe('surgery/head');
    expect(codeOf(() => bodyOf(detector, 'nothing'))).toBe('surgery/cut');
    expect(codeOf(() => bodyOf(detector, '/Flatten_output_0', { inputDims: [3] }))).toBe(
      'surgery/input',
    );
    expect(codeOf(() => withHead(detector, HEAD))).toBe('surgery/body');
    const bert = bodyOf(exported('bert'), 'pooled');
    expect(codeOf(() => withHead(bert, HEAD))).toBe('surgery/input');
  });

  it('a batch length that is part of the weights', () => {
    const builder = new GraphBuilder('fixed');
    const x = builder.input('x', 'float32', [1, 4]);
    const token = builder.initializer('token', tensorOf(uniform(randomNumbers(1), [1, 2])));
    const w = builder.initializer('w', tensorOf(uniform(randomNumbers(2), [6, 3])));
    const joined = builder.node('Concat', [token, x], { axis: attr.int(1) });
    const y = builder.node('MatMul', [joined, w], {}, { outputs: ['y'] });
    builder.output(builder.node('Relu', [y]), 'float32', [1, 3]);
    expect(codeOf(() => bodyOf(builder.build(), 'y'))).toBe('surgery/fixed-batch');
  });
});
