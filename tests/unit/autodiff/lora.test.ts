/** Adapters beside the weights, inside them, and in a file of their own: always the same function. */
import { describe, expect, it } from 'vitest';
import { adapterOf, addLora, applyAdapter, mergeLora } from '../../../src/autodiff/lora';
import { loraParameters, loraTargets } from '../../../src/autodiff/lora-targets';
import { withHead } from '../../../src/autodiff/new-head';
import { bodyOf, findHead } from '../../../src/autodiff/surgery';
import { AppError } from '../../../src/core/errors';
import { GraphBuilder } from '../../../src/onnx/builder';
import { withInitializers } from '../../../src/onnx/compose';
import { attr } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';
import type { Value } from '../../../src/ops/define';
import { tensorOf } from '../../../src/ops/value';
import { randomNumbers, tensorFeeds, uniform } from '../../support/calls';
import { exported, picture, valueAt } from '../../support/exported';
import { runOnnxRuntime } from '../../support/onnxruntime';

const OPTIONS = { rank: 2, alpha: 6, dropout: 0, targets: '*', seed: 3 };

function forwardOf(name: string): Graph {
  const graph = exported(name);
  const head = { classes: 3, hidden: 4, dropout: 0, seed: 11 };
  return withHead(bodyOf(graph, findHead(graph).cut), head);
}

/** As if it had been trained: both halves of every adapter, and the head, are other numbers. */
function learned(graph: Graph): Map<string, Float32Array> {
  const random = randomNumbers(8);
  const names = [...graph.initializers.keys()].filter((name) => /lora_[ab]$|^head/.test(name));
  return new Map(
    names.map((name) => {
      const { dims } = graph.initializers.get(name) as { dims: readonly number[] };
      return [name, Float32Array.from(uniform(random, dims, -0.5, 0.5).data)];
    }),
  );
}

function expectClose(found: ArrayLike<number>, expected: ArrayLike<number>, digits: number): void {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++)
    expect(found[i]).toBeCloseTo(expected[i] ?? NaN, digits);
}

/** MatMul over three axes, Gemm both ways round and with factors, a strided 1 × 1 Conv with padding. */
function everyKind(): { graph: Graph; feeds: Map<string, Value> } {
  const random = randomNumbers(6);
  const builder = new GraphBuilder('kinds');
  const weight = (name: string, dims: readonly number[]) =>
    builder.initializer(name, tensorOf(uniform(random, dims)));
  let x = builder.input('features', 'float32', [2, 4, 5, 5]);
  x = builder.node('Conv', [x, weight('conv', [6, 4, 1, 1])], {
    strides: attr.ints([2, 1]),
    pads: attr.ints([1, 0, 0, 1]),
  });
  x = builder.node('Conv', [x, weight('grouped', [6, 1, 1, 1])], { group: attr.int(6) });
  x = builder.node('Reshape', [x, builder.ints([2, 6, 18])]);
  x = builder.node('MatMul', [x, weight('matmul', [18, 7])]);
  x = builder.node('MatMul', [x, weight('shared', [7, 7])]);
  x = builder.node('MatMul', [builder.node('Tanh', [x]), 'shared']);
  x = builder.node('Reshape', [x, builder.ints([6, 14])]);
  x = builder.node('Gemm', [x, weight('gemm', [6, 5])], {
    transA: attr.int(1),
    alpha: attr.float(0.5),
  });
  const bias = weight('bias', [3]);
  x = builder.node('Gemm', [x, weight('gemm_t', [3, 5]), bias], {
    transB: attr.int(1),
    beta: attr.float(2),
  });
  builder.node('Identity', [x], {}, { outputs: ['logits'] });
  builder.output('logits', 'float32', [14, 3]);
  const { dtype, dims, data } = uniform(random, [2, 4, 5, 5]);
  return { graph: builder.build(), feeds: new Map([['features', { dtype, dims, data }]]) };
}

const models = (['resnet', 'mobilenet', 'vit'] as const).map((name) => {
  const graph = forwardOf(name);
  return [name, { graph, feeds: picture(graph, 2) }] as const;
});

describe.each([['every kind of multiplication', everyKind()] as const, ...models])(
  '%s',
  (_, { graph, feeds }) => {
    it('starts as it was', () => {
      const adapted = addLora(graph, { ...OPTIONS, dropout: 0.3 });
      expectClose(valueAt(adapted, 'logits', feeds).data, valueAt(graph, 'logits', feeds).data, 10);
    });

    it('says the same beside its weights, merged, and as a file, here and on onnxruntime', async () => {
      const start = addLora(graph, OPTIONS);
      const trained = learned(start);
      const adapted = withInitializers(start, trained);
      const expected = valueAt(adapted, 'logits', feeds).data;
      const before = valueAt(graph, 'logits', feeds).data;
      expect(Math.max(...expected.map((x, i) => Math.abs(x - (before[i] ?? 0))))).toBeGreaterThan(
        0.01,
      );

      const merged = mergeLora(adapted);
      expect(merged.nodes.map(({ name }) => name)).toEqual(graph.nodes.map(({ name }) => name));
      expect([...merged.initializers.keys()]).toEqual([...graph.initializers.keys()]);
      expect(merged.metadata).toEqual(graph.metadata);
      expectClose(valueAt(merged, 'logits', feeds).data, expected, 5);

      const adapter = adapterOf(adapted, trained);
      expect([...adapter.tensors.keys()].every((name) => /lora_[ab]$|^head/.test(name))).toBe(true);
      const again = applyAdapter(graph, adapter);
      expectClose(valueAt(again, 'logits', feeds).data, expected, 12);

      for (const model of [adapted, merged]) {
        const found = (await runOnnxRuntime(model, tensorFeeds(feeds))).get('logits');
        expectClose(found?.data ?? [], expected, 3);
      }
    });
  },
);

describe('targets', () => {
  it('are MatMul, Gemm and ungrouped 1 × 1 Conv, counted', () => {
    const { graph } = everyKind();
    const targets = loraTargets(graph, '*');
    expect(targets.map(({ weight, inputs, outputs }) => [weight, inputs, outputs])).toEqual([
      ['conv', 4, 6],
      ['matmul', 18, 7],
      ['shared', 7, 7],
      ['gemm', 6, 5],
      ['gemm_t', 5, 3],
    ]);
    expect(targets.find(({ weight }) => weight === 'shared')?.nodes).toHaveLength(2);
    const count = targets.reduce((sum, target) => sum + loraParameters(target, 4), 0);
    const adapted = addLora(graph, { ...OPTIONS, rank: 4 });
    const added = [...adapted.initializers].filter(([name]) => /lora_[ab]$/.test(name));
    expect(added.reduce((sum, [, { data }]) => sum + data.length, 0)).toBe(count);
  });

  it('are chosen by a pattern over weights and nodes, and never the head', () => {
    const vit = forwardOf('vit');
    const of = (pattern: string) => loraTargets(vit, pattern).map(({ nodes }) => nodes[0]);
    const attention = ['qkv', 'proj'].map((part) => `/blocks.1/attn/${part}/MatMul`);
    expect(of('*blocks.1/attn*')).toEqual(attention);
    expect(of('*blocks.1*qkv*, *blocks.1*proj*')).toEqual(attention);
    expect(of('*')).toHaveLength(12);
    expect(of('blocks')).toEqual([]);
    expect(of('')).toEqual([]);
  });

  it('are refused where they are none, or not of this model', () => {
    const { graph } = everyKind();
    const code = (run: () => unknown) => {
      try {
        run();
      } catch (error) {
        return error instanceof AppError ? error.code : String(error);
      }
      return 'nothing thrown';
    };
    expect(code(() => addLora(graph, { ...OPTIONS, targets: 'nothing*' }))).toBe('lora/targets');
    expect(code(() => addLora(graph, { ...OPTIONS, rank: 0 }))).toBe('lora/rank');
    const adapted = addLora(graph, OPTIONS);
    expect(code(() => addLora(adapted, OPTIONS))).toBe('lora/twice');
    expect(code(() => mergeLora(graph))).toBe('lora/none');
    const adapter = adapterOf(adapted, new Map());
    expect(code(() => applyAdapter(forwardOf('vit'), adapter))).toBe('lora/adapter');
  });
});
