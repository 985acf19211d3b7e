/** Operators that move elements: against onnxruntime and central differences; and lengths that stay symbols. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Dim } from '../../../src/onnx/graph';
import { inferShapes } from '../../../src/ops/infer-shapes';
import { evaluate, given, ints, randomNumbers, uniform } from '../../support/calls';
import type { Call } from '../../support/calls';
import { checkGradients, seeds, shapeWithAxis, shapes } from '../../support/gradient-check';
import { expectAsOnnxRuntime } from '../../support/oracle';

const FAR = Number.MAX_SAFE_INTEGER;
const runs = { numRuns: 30 };

async function check(call: Call): Promise<void> {
  await expectAsOnnxRuntime(call);
  checkGradients(call, { elements: 8 });
}

describe('moving elements', () => {
  it.each(['constant', 'reflect', 'edge', 'wrap'] as const)('Pad in the mode %s', (mode) =>
    fc.assert(
      fc.asyncProperty(
        shapes(1, 3, 4),
        fc.array(fc.integer({ min: -2, max: 3 }), { minLength: 6, maxLength: 6 }),
        fc.boolean(),
        seeds,
        async (dims, wanted, someAxes, seed) => {
          const random = randomNumbers(seed);
          // At least one element stays, and onnxruntime mirrors and wraps once only.
          const pads = [0, 1].map((side) =>
            dims.map((dim, axis) => {
              const pad = Math.max(wanted[2 * axis + side] ?? 0, side === 0 ? 1 - dim : 0);
              if (mode === 'reflect') return Math.min(Math.max(pad, 0), dim - 1);
              if (mode === 'wrap') return Math.min(Math.max(pad, 0), dim);
              return mode === 'edge' ? Math.max(pad, 0) : pad;
            }),
          );
          const [before = [], after = []] = pads;
          const tail = after.map((pad, axis) =>
            Math.max(pad, 1 - (dims[axis] ?? 1) - Math.min(before[axis] ?? 0, 0)),
          );
          const axes = dims.map((_, axis) => axis - (axis % 2 === 0 ? dims.length : 0)).reverse();
          const ordered = (sides: readonly number[]) =>
            someAxes ? sides.toReversed() : [...sides];
          await check({
            op: 'Pad',
            inputs: [
              uniform(random, dims),
              ints([...ordered(before), ...ordered(tail)]),
              mode === 'constant' ? given('float32', [], [0.75]) : undefined,
              ...(someAxes ? [ints(axes)] : []),
            ],
            attributes: { mode: attr.string(mode) },
          });
        },
      ),
      runs,
    ),
  );

  it('Pad mirrors and wraps as often as it takes, and cuts before', () => {
    const x = given('float32', [3], [1, 2, 3]);
    const padded = (mode: string, pads: number[]) =>
      Array.from(
        evaluate({ op: 'Pad', inputs: [x, ints(pads)], attributes: { mode: attr.string(mode) } })[0]
          ?.data ?? [],
      );
    expect(padded('reflect', [5, 4])).toEqual([2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3]);
    expect(padded('wrap', [4, 1])).toEqual([3, 1, 2, 3, 1, 2, 3, 1]);
    expect(padded('edge', [-1, 2])).toEqual([2, 3, 3, 3]);
    for (const mode of ['reflect', 'edge', 'wrap']) {
      for (const pads of [
        [5, 4],
        [-1, 4],
        [4, -1],
      ]) {
        checkGradients({
          op: 'Pad',
          inputs: [x, ints(pads)],
          attributes: { mode: attr.string(mode) },
        });
      }
    }
  });

  it('Slice with any bounds and steps', () =>
    fc.assert(
      fc.asyncProperty(
        shapeWithAxis(1, 3),
        fc.constantFrom(-FAR, -5, -2, -1, 0, 1, 2, 5, FAR),
        fc.constantFrom(-FAR, -5, -2, -1, 0, 1, 2, 5, FAR),
        fc.constantFrom(-3, -2, -1, 1, 2, 3),
        ({ dims, axis }, start, end, step) =>
          check({
            op: 'Slice',
            inputs: [
              uniform(randomNumbers(step + 9), dims),
              ints([start]),
              ints([end]),
              ints([axis]),
              ints([step]),
            ],
          }),
      ),
      { numRuns: 60 },
    ));

  it('Split by number, ragged, and by lengths', () =>
    fc.assert(
      fc.asyncProperty(
        shapeWithAxis(1, 3),
        fc.integer({ min: 1, max: 3 }),
        seeds,
        async ({ dims, axis }, wanted, seed) => {
          const random = randomNumbers(seed);
          const length = dims.at(axis) ?? 1;
          const count = Math.min(wanted, length);
          const x = uniform(random, dims);
          const attributes = { axis: attr.int(axis) };
          const first = Math.floor(random() * (length + 1));
          await check({
            op: 'Split',
            inputs: [x, ints([first, length - first])],
            attributes,
            outputs: 2,
          });
          // Three of four: chunks of two leave nothing for the third, which onnxruntime refuses.
          if (Math.ceil(length / count) * (count - 1) >= length) return;
          const even = { ...attributes, num_outputs: attr.int(count) };
          await check({ op: 'Split', inputs: [x], attributes: even, outputs: count });
        },
      ),
      runs,
    ));

  it('Tile and Expand', () =>
    fc.assert(
      fc.asyncProperty(
        shapes(1, 3),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 3 }),
        seeds,
        async (dims, times, seed) => {
          const random = randomNumbers(seed);
          const repeats = ints(times.slice(0, dims.length));
          await check({ op: 'Tile', inputs: [uniform(random, dims), repeats] });
          const ones = dims.map((dim, axis) => (axis % 2 === 0 ? 1 : dim));
          await check({ op: 'Expand', inputs: [uniform(random, ones), ints([2, ...dims])] });
        },
      ),
      runs,
    ));

  it('Concat, Transpose, Reshape, Flatten, Squeeze and Unsqueeze', () =>
    fc.assert(
      fc.asyncProperty(shapeWithAxis(1, 3), seeds, async ({ dims, axis }, seed) => {
        const random = randomNumbers(seed);
        const x = uniform(random, dims);
        const at = axis < 0 ? axis + dims.length : axis;
        const other = dims.map((dim, index) => (index === at ? dim + 1 : dim));
        await check({
          op: 'Concat',
          inputs: [x, uniform(random, other), uniform(random, dims)],
          attributes: { axis: attr.int(axis) },
        });
        const perm = dims.map((_, index) => index).sort(() => random() - 0.5);
        await check({ op: 'Transpose', inputs: [x], attributes: { perm: attr.ints(perm) } });
        await check({ op: 'Transpose', inputs: [x] });
        await check({ op: 'Reshape', inputs: [x, ints([0, -1, 1])] });
        await check({ op: 'Flatten', inputs: [x], attributes: { axis: attr.int(axis) } });
        await check({ op: 'Unsqueeze', inputs: [x, ints([-1, 0])] });
        const one = uniform(random, [1, ...dims, 1]);
        await check({ op: 'Squeeze', inputs: [one, ints([-1, 0])] });
        await check({ op: 'Squeeze', inputs: [one] });
      }),
      { numRuns: 12 },
    ));

  it('Reshape keeps zeros where it is told to', async () => {
    const empty = given('float32', [0, 3], []);
    const call: Call = {
      op: 'Reshape',
      inputs: [empty, ints([3, 0, 2])],
      attributes: { allowzero: attr.int(1) },
    };
    expect(evaluate(call)[0]?.dims).toEqual([3, 0, 2]);
    await expectAsOnnxRuntime(call);
  });
});

describe('Dropout', () => {
  const dropout = (ratio: number, training: number, seed = 1): Call => ({
    op: 'Dropout',
    inputs: [
      uniform(randomNumbers(2), [200, 50], 1, 2),
      given('float32', [], [ratio], true),
      given('bool', [], [training], true),
    ],
    attributes: { seed: attr.int(seed) },
    outputs: 2,
  });

  it('passes everything on outside of training, and where nothing is to be dropped', async () => {
    for (const call of [dropout(0.4, 0), dropout(0, 1)]) {
      const [y, mask] = evaluate(call);
      expect(y?.data).toEqual(call.inputs[0]?.data);
      expect(mask?.data.every((kept) => kept === 1)).toBe(true);
      await expectAsOnnxRuntime(call);
      checkGradients(dropout(0.4, 0), { elements: 4 });
    }
  });

  it('drops its share in training, scales the rest, and says which', () => {
    const call = dropout(0.3, 1);
    const [y, mask] = evaluate(call);
    const x = call.inputs[0];
    const kept = mask?.data.reduce((a, b) => a + b, 0) ?? 0;
    // 10 000 draws: five standard deviations are 0.023.
    expect(Math.abs(kept / sizeOf([200, 50]) - 0.7)).toBeLessThan(0.023);
    y?.data.forEach((value, i) => {
      const wanted = mask?.data[i] ? (x?.data[i] ?? NaN) / 0.7 : 0;
      expect(Math.abs(value - wanted)).toBeLessThan(1e-6);
    });
    expect(evaluate(call)[1]?.data).toEqual(mask?.data);
    expect(evaluate(dropout(0.3, 1, 2))[1]?.data).not.toEqual(mask?.data);
    expect(evaluate(dropout(1, 1))[0]?.data.every((value) => value === 0)).toBe(true);
    expect(() => checkGradients(call)).toThrow(/drops at random by itself/);
  });
});

describe('symbolic lengths', () => {
  const dimsOf = (build: (builder: GraphBuilder, x: string) => string, dims: readonly Dim[]) => {
    const builder = new GraphBuilder('open');
    const y = build(builder, builder.input('x', 'float32', dims));
    return inferShapes(builder.build()).get(y)?.dims;
  };

  it('pass through what does not touch them', () => {
    const slice =
      (start: number, end: number, axis: number, step = 1) =>
      (b: GraphBuilder, x: string) =>
        b.node('Slice', [x, b.ints([start]), b.ints([end]), b.ints([axis]), b.ints([step])]);
    expect(dimsOf(slice(0, FAR, 0), ['batch', 4])).toEqual(['batch', 4]);
    expect(dimsOf(slice(-1, -FAR, 0, -1), ['batch', 4])).toEqual(['batch', 4]);
    expect(dimsOf(slice(1, 3, 1), ['batch', 4])).toEqual(['batch', 2]);
    expect(dimsOf((b, x) => b.node('Tile', [x, b.ints([1, 3])]), ['batch', 4])).toEqual([
      'batch',
      12,
    ]);
    expect(dimsOf((b, x) => b.node('Split', [x]), ['batch', 4])).toEqual(['batch', 4]);
    expect(dimsOf((b, x) => b.node('Pad', [x, b.ints([0, 1, 0, 1])]), ['batch', 4])).toEqual([
      'batch',
      6,
    ]);
    expect(dimsOf((b, x) => b.node('Reshape', [x, b.ints([0, 2, -1])]), ['batch', 4])).toEqual([
      'batch',
      2,
      2,
    ]);
    expect(dimsOf((b, x) => b.nodes('TopK', [x, b.ints([2])], 2)[0] ?? '', ['batch', 4])).toEqual([
      'batch',
      2,
    ]);
  });

  it('are computed with', () => {
    const tile = (b: GraphBuilder, x: string) => b.node('Tile', [x, b.ints([2, 1])]);
    expect(dimsOf(tile, ['batch', 4])).toEqual(['2*batch', 4]);
    const halves = (b: GraphBuilder, x: string) => b.nodes('Split', [x], 2)[1] ?? '';
    expect(dimsOf((b, x) => halves(b, tile(b, x)), ['batch', 4])).toEqual(['batch', 4]);
    const layer = (b: GraphBuilder, x: string) => {
      const weights = { dtype: 'float32', dims: [1, 9, 4], data: new Float32Array(36) } as const;
      const recurrence = { dtype: 'float32', dims: [1, 9, 3], data: new Float32Array(27) } as const;
      const inputs = [x, b.initializer('w', weights), b.initializer('r', recurrence)];
      return b.nodes('GRU', inputs, 2)[0] ?? '';
    };
    expect(dimsOf(layer, ['time', 'batch', 4])).toEqual(['time', 1, 'batch', 3]);
    const attend = (b: GraphBuilder, x: string) => {
      const four = attr.int(4);
      return b.nodes('Attention', [x, x, x], 1, { q_num_heads: four, kv_num_heads: four })[0] ?? '';
    };
    expect(dimsOf(attend, ['batch', 'time', 8])).toEqual(['batch', 'time', 8]);
  });

  it('come through Shape into Expand and Reshape', () => {
    const shaped = (op: 'Expand' | 'Reshape', tail: number) => (b: GraphBuilder, x: string) => {
      const batch = b.node('Shape', [x], { end: attr.int(1) });
      const target = b.node('Concat', [batch, b.ints([tail])], { axis: attr.int(0) });
      return b.node(op, [x, target]);
    };
    expect(dimsOf(shaped('Reshape', 4), ['batch', 2, 2])).toEqual(['batch', 4]);
    expect(dimsOf(shaped('Expand', 5), ['batch', 1])).toEqual(['batch', 5]);
  });
});
