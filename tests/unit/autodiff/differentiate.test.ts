/** The transform itself: what it adds up, leaves out, writes out and refuses. */
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/autodiff/differentiate';
import { sizeOf } from '../../../src/core/dtype';
import { AppError } from '../../../src/core/errors';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Graph, Tensor } from '../../../src/onnx/graph';

function total(builder: GraphBuilder, value: string): string {
  return builder.node('ReduceSum', [value], { keepdims: attr.int(0) });
}

function ones(dims: readonly number[]): Tensor {
  return { dtype: 'float32', dims, data: new Float32Array(sizeOf(dims)).fill(1) };
}

/** d loss / d name on the reference interpreter. */
function gradientOf(
  forward: Graph,
  name: string,
  values: readonly number[],
  loss = 'loss',
): number[] {
  const { graph, gradients } = differentiate(forward, { numerator: loss }, [name]);
  const output = gradients.get(name) ?? '';
  const dims = forward.inputs.find((input) => input.name === name)?.dims as number[];
  const data = Float64Array.from(values);
  const outputs = [{ name: output, dtype: 'float32', dims }] as const;
  const feeds = new Map([[name, { dtype: 'float32', dims, data } as const]]);
  return Array.from(runGraph({ ...graph, outputs }, feeds).get(output)?.data ?? []);
}

describe('differentiate', () => {
  it('adds up what arrives along several ways', () => {
    // loss = Σ (x·x + x), so the gradient is 2x + 1.
    const builder = new GraphBuilder('twice');
    const x = builder.input('x', 'float32', [3]);
    const sum = builder.node('Add', [builder.node('Mul', [x, x]), x]);
    builder.node('ReduceSum', [sum], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    const { graph, gradients } = differentiate(builder.build(), { numerator: 'loss' }, ['x']);
    const name = gradients.get('x') ?? '';
    const outputs = [{ name, dtype: 'float32', dims: [3] }] as const;
    const data = Float64Array.of(-1, 0, 2);
    const feeds = new Map([['x', { dtype: 'float32', dims: [3], data } as const]]);
    const result = runGraph({ ...graph, outputs }, feeds).get(name)?.data;
    expect(Array.from(result ?? [])).toEqual([-1, 1, 5]);
  });

  it('prunes what no trainable needs, and gives zeros to what the loss does not reach', () => {
    const builder = new GraphBuilder('prune');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => builder.input(name, 'float32', [2]));
    const product = builder.node('Mul', [a ?? '', b ?? '']);
    builder.node('ReduceSum', [product], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    const before = builder.build().nodes.length;
    const { graph, gradients } = differentiate(builder.build(), { numerator: 'loss' }, ['a', 'c']);
    const added = graph.nodes.slice(before).map(({ op }) => op);
    expect(added.sort()).toEqual(['Expand', 'Expand', 'Mul']);
    const outputs = [...gradients.values()].map(
      (name) => ({ name, dtype: 'float32', dims: [2] }) as const,
    );
    const feed = (values: number[]) =>
      ({ dtype: 'float32', dims: [2], data: Float64Array.from(values) }) as const;
    const results = runGraph(
      { ...graph, outputs },
      new Map([
        ['a', feed([1, 2])],
        ['b', feed([3, 4])],
        ['c', feed([5, 6])],
      ]),
    );
    expect(c && Array.from(results.get(gradients.get('c') ?? '')?.data ?? [])).toEqual([0, 0]);
    expect(Array.from(results.get(gradients.get('a') ?? '')?.data ?? [])).toEqual([3, 4]);
  });

  it('counts a value that several nodes read, one of them with several outputs', () => {
    // loss = Σ first² + 3·Σ second + Σ x, x split in two: 2·first + 1, and 3 + 1.
    const builder = new GraphBuilder('shared');
    const x = builder.input('x', 'float32', [4]);
    const halves = { axis: attr.int(0), num_outputs: attr.int(2) };
    const [first = '', second = ''] = builder.nodes('Split', [x], 2, halves);
    const parts = [
      total(builder, builder.node('Mul', [first, first])),
      total(builder, builder.node('Mul', [second, builder.scalar(3)])),
      total(builder, x),
    ];
    builder.node('Sum', parts, {}, { outputs: ['loss'] });
    expect(gradientOf(builder.build(), 'x', [1, 2, 3, 4])).toEqual([3, 5, 4, 4]);
  });

  it('writes out composites of composites down to operators that have a rule', () => {
    const builder = new GraphBuilder('deep');
    const x = builder.input('x', 'float32', [1, 2, 4]);
    const norm = builder.node('LpNormalization', [x], { p: attr.int(2) });
    const scale = builder.initializer('scale', ones([4]));
    const wide = builder.node('LayerNormalization', [norm, scale], {});
    const y = builder.node(
      'GroupNormalization',
      [
        builder.node('Transpose', [wide], { perm: attr.ints([0, 2, 1]) }),
        scale,
        builder.initializer('bias', ones([4])),
      ],
      { num_groups: attr.int(2) },
    );
    const weights = builder.initializer('weights', {
      ...{ dtype: 'float32', dims: [1, 4, 2] },
      data: Float32Array.of(1, -2, 3, -4, 5, -6, 7, 8),
    });
    builder.node(
      'Identity',
      [total(builder, builder.node('Mul', [y, weights]))],
      {},
      { outputs: ['loss'] },
    );
    const graph = builder.build();
    const values = [0.3, -0.2, 0.5, 0.9, -0.4, 0.1, 0.7, 0.2];
    const found = gradientOf(graph, 'x', values);
    const loss = (at: readonly number[]) => {
      const outputs = [{ name: 'loss', dtype: 'float32', dims: [] }] as const;
      const feed = { dtype: 'float32', dims: [1, 2, 4], data: Float64Array.from(at) } as const;
      return runGraph({ ...graph, outputs }, new Map([['x', feed]])).get('loss')?.data[0] ?? NaN;
    };
    const h = 1e-5;
    values.forEach((_, i) => {
      const at = (shift: number) => values.map((value, j) => (i === j ? value + shift : value));
      expect(found[i]).toBeCloseTo((loss(at(h)) - loss(at(-h))) / (2 * h), 5);
    });
  });

  it('passes through the branch that is taken where that is known beforehand', () => {
    const builder = new GraphBuilder('branch');
    const x = builder.input('x', 'float32', [2]);
    const [then_branch, else_branch] = ['Neg', 'Exp'].map((op) => {
      const inner = new GraphBuilder(op);
      inner.output(inner.node(op, [x]), 'float32', [2]);
      return attr.graph(inner.build());
    });
    if (!then_branch || !else_branch) throw new Error('The branches are missing.');
    const condition = builder.constant('bool', [], [1]);
    const y = builder.node('If', [condition], { then_branch, else_branch });
    builder.node('Identity', [total(builder, y)], {}, { outputs: ['loss'] });
    expect(gradientOf(builder.build(), 'x', [3, 4])).toEqual([-1, -1]);
  });

  it('passes by whole numbers where another way leads to the loss, and by shapes', () => {
    // loss = Σ x · (number of elements) + argmax(x): only the first part has a gradient.
    const builder = new GraphBuilder('mixed');
    const x = builder.input('x', 'float32', [3]);
    const size = builder.node('Cast', [builder.node('Size', [x])], { to: attr.int(1) });
    const best = builder.node('Cast', [builder.node('ArgMax', [x], { keepdims: attr.int(0) })], {
      to: attr.int(1),
    });
    const parts = [total(builder, builder.node('Mul', [x, size])), total(builder, best)];
    builder.node('Sum', parts, {}, { outputs: ['loss'] });
    expect(gradientOf(builder.build(), 'x', [1, 5, 2])).toEqual([3, 3, 3]);
    // The shape alone is no way at all: the loss does not move with x.
    builder.node('Identity', [total(builder, size)], {}, { outputs: ['other'] });
    expect(gradientOf(builder.build(), 'x', [1, 5, 2], 'other')).toEqual([0, 0, 0]);
  });

  it.each([
    [
      'an operator without a gradient',
      'volume (Det)',
      (builder: GraphBuilder, x: string) => {
        const column = builder.node('Reshape', [x, builder.ints([2, 1])]);
        const row = builder.node('Reshape', [x, builder.ints([1, 2])]);
        return builder.node('Det', [builder.node('MatMul', [column, row])], {}, { name: 'volume' });
      },
    ],
    [
      'whole numbers',
      'positions (ArgMax)',
      (builder: GraphBuilder, x: string) =>
        builder.node('Cast', [builder.node('ArgMax', [x], {}, { name: 'positions' })], {
          to: attr.int(1),
        }),
    ],
    [
      'truth values',
      'above (Greater)',
      (builder: GraphBuilder, x: string) =>
        builder.node(
          'Cast',
          [builder.node('Greater', [x, builder.scalar(0)], {}, { name: 'above' })],
          { to: attr.int(1) },
        ),
    ],
    [
      'a branch',
      'either way (If)',
      (builder: GraphBuilder, x: string) => {
        const branch = (op: string) => {
          const inner = new GraphBuilder(op);
          inner.node(op, [x], {}, { outputs: [`${op} of x`] });
          inner.output(`${op} of x`, 'float32', [2]);
          return attr.graph(inner.build());
        };
        const condition = builder.input('condition', 'bool', []);
        const branches = { then_branch: branch('Exp'), else_branch: branch('Neg') };
        return builder.node('If', [condition], branches, { name: 'either way' });
      },
    ],
  ])('names what bars the way: %s', (_, found, make) => {
    const builder = new GraphBuilder('barred');
    const x = builder.input('x', 'float32', [2]);
    const y = builder.input('y', 'float32', [2]);
    const barred = make(builder, builder.node('Tanh', [x]));
    builder.node(
      'Identity',
      [total(builder, builder.node('Add', [barred, y]))],
      {},
      { outputs: ['loss'] },
    );
    const graph = builder.build();
    let error: unknown;
    try {
      differentiate(graph, { numerator: 'loss' }, ['x', 'y']);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe('autodiff/not-differentiable');
    expect((error as AppError).message).toContain(`"${found.replace(' (', '" (')}`);
    // What is behind the bar may be frozen: then nobody asks.
    const frozen = differentiate(graph, { numerator: 'loss' }, ['y']);
    expect(frozen.graph.nodes.length).toBeLessThan(graph.nodes.length + 8);
  });

  it('refuses a loss that is not one number', () => {
    const builder = new GraphBuilder('vector');
    builder.node('Neg', [builder.input('x', 'float32', [2])], {}, { outputs: ['loss'] });
    expect(() => differentiate(builder.build(), { numerator: 'loss' }, ['x'])).toThrow(
      /one number/,
    );
  });
});
