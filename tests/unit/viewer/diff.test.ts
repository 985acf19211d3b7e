import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Graph } from '../../../src/onnx/graph';
import { diffGraphs } from '../../../src/viewer/diff';
import { openGraph } from '../../../src/viewer/picture';
import { relativeChange, weightDetails } from '../../../src/viewer/weights';

interface Options {
  readonly names?: string;
  readonly scale?: number;
  readonly extra?: boolean;
  readonly alpha?: number;
  readonly classes?: number;
}

/** conv -> leaky relu -> [sigmoid] -> pool -> flatten -> gemm */
function model({
  names = '',
  scale = 1,
  extra = false,
  alpha = 0.1,
  classes = 2,
}: Options = {}): Graph {
  const builder = new GraphBuilder('m');
  const node = (op: string, inputs: string[], attributes = {}) =>
    builder.node(op, inputs, attributes, { name: `${names}${op}` });
  let x = builder.input('x', 'float32', ['batch', 1, 4, 4]);
  const weight = (dims: number[]) =>
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i * scale);
  x = node('Conv', [
    x,
    builder.initializer('w', { dtype: 'float32', dims: [3, 1, 1, 1], data: weight([3]) }),
  ]);
  x = node('LeakyRelu', [x], { alpha: attr.float(alpha) });
  if (extra) x = node('Sigmoid', [x]);
  x = node('GlobalAveragePool', [x]);
  x = node('Flatten', [x]);
  const dims = [classes, 3];
  x = node('Gemm', [x, builder.initializer('v', { dtype: 'float32', dims, data: weight(dims) })], {
    transB: attr.int(1),
  });
  builder.output(x, 'float32', ['batch', classes]);
  return builder.build();
}

describe('the difference of two graphs', () => {
  it('is nothing for equal graphs, also when every node has another name', () => {
    for (const names of ['', 'other/']) {
      const diff = diffGraphs(model(), model({ names }));
      expect([diff.added.size, diff.removed.size, diff.changed.size]).toEqual([0, 0, 0]);
      expect(diff.pairs.size).toBe(5);
    }
  });

  it('names the node that came in, and the one that reads it now', () => {
    for (const names of ['', 'other/']) {
      const diff = diffGraphs(model(), model({ names, extra: true }));
      expect([...diff.added]).toEqual([`${names}Sigmoid`]);
      expect([...diff.removed]).toEqual([]);
      expect([...diff.changed]).toEqual([`${names}GlobalAveragePool`]);
    }
    expect([...diffGraphs(model({ extra: true }), model()).removed]).toEqual(['Sigmoid']);
  });

  it('finds changed attributes, weights and heads', () => {
    expect([...diffGraphs(model(), model({ alpha: 0.2 })).changed]).toEqual(['LeakyRelu']);
    expect([...diffGraphs(model(), model({ scale: 2 })).changed]).toEqual(['Conv', 'Gemm']);
    expect([...diffGraphs(model(), model({ classes: 5 })).changed]).toEqual(['Gemm']);
  });
});

describe('the picture of two graphs', () => {
  const { picture, details } = openGraph(model({ extra: true, scale: 2 }), model({ alpha: 0.3 }));
  const index = (title: string) => picture.nodes.findIndex((node) => node.title === title);

  it('shows each change where it is', () => {
    const changes = Object.fromEntries(picture.nodes.map(({ title, change }) => [title, change]));
    expect(changes).toMatchObject({
      Conv: 'changed',
      LeakyRelu: 'changed',
      Sigmoid: 'added',
      Flatten: 'same',
    });
    expect(picture.changes).toEqual({ same: 3, changed: 4, added: 1, removed: 0 });
    expect(picture.edges.filter(({ change }) => change === 'added')).toHaveLength(2);
  });

  it('keeps a removed node with its wires, and can tell about it', () => {
    const removed = openGraph(model(), model({ extra: true }));
    const at = removed.picture.nodes.findIndex(({ change }) => change === 'removed');
    expect(removed.picture.nodes[at]?.title).toBe('Sigmoid');
    expect(removed.details(at)).toMatchObject({ op: 'Sigmoid', change: 'removed' });
    expect(removed.picture.edges.filter(({ change }) => change === 'removed')).toHaveLength(2);
  });

  it('tells attributes before and after, and how far weights moved', () => {
    expect(details(index('LeakyRelu')).attributes).toEqual([
      { name: 'alpha', value: '0.1', before: '0.3' },
    ]);
    const weight = details(index('Conv')).inputs[1];
    expect(weight?.moved).toBeCloseTo(1, 6);
    expect(weight?.weight).toMatchObject({ count: 3, min: 0, max: 4, mean: 2 });
    expect(details(index('x'))).toMatchObject({
      name: 'x',
      outputs: [{ type: 'float32 [batch, 1, 4, 4]' }],
    });
  });
});

describe('figures of a weight', () => {
  it('are those of the numbers', () => {
    const data = Float32Array.of(-1, 0, 0, 3);
    const details = weightDetails({ dtype: 'float32', dims: [4], data });
    expect(details).toMatchObject({ count: 4, min: -1, max: 3, mean: 0.5, zeros: 0.5 });
    expect(details?.deviation).toBeCloseTo(Math.sqrt(2.25), 6);
    expect(details?.histogram.reduce((a, b) => a + b, 0)).toBe(4);
    expect([details?.histogram[0], details?.histogram[10], details?.histogram.at(-1)]).toEqual([
      1, 2, 1,
    ]);
  });

  it('have no histogram for a single value, and none at all for nothing', () => {
    expect(
      weightDetails({ dtype: 'float32', dims: [2], data: Float32Array.of(3, 3) })?.histogram,
    ).toEqual([]);
    expect(weightDetails({ dtype: 'float32', dims: [0], data: new Float32Array(0) })).toBeNull();
  });

  it('move by the relative norm of their difference', () => {
    const tensor = (...values: number[]) => ({
      dtype: 'float32' as const,
      dims: [2],
      data: Float32Array.from(values),
    });
    expect(relativeChange(tensor(3, 4), tensor(3, 4))).toBe(0);
    expect(relativeChange(tensor(3, 4), tensor(3, 9))).toBeCloseTo(1, 6);
    expect(relativeChange(tensor(3, 4), { ...tensor(1, 2), dims: [1, 2] })).toBeNull();
  });
});
