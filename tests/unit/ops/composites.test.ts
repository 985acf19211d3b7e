/**
 * Operators that are written in simpler ones where there is no kernel: the expansion says what the kernel says,
 * and onnxruntime, where it has the operator, says the same.
 */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import { expandOps } from '../../../src/ops/expand-graph';
import { callGraph, given, ints, randomNumbers, tensorFeeds, uniform } from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { runOnnxRuntime } from '../../support/onnxruntime';

const random = randomNumbers(12);

/** @param steps how far whole results may be apart: scales multiply in another order, so a half may fall otherwise */
function expectClose(name: string, found: ArrayLike<number>, kernel: Float64Array, steps: number) {
  expect(found.length, name).toBe(kernel.length);
  kernel.forEach((x, i) => {
    const y = found[i] ?? NaN;
    if (Object.is(x, y) || x === y) return;
    const allowed = Math.max(steps, 2e-5 * Math.max(1, Math.abs(x)));
    expect(Math.abs(y - x), `${name}[${i}]: ${y} for ${x}`).toBeLessThanOrEqual(allowed);
  });
}

async function expectSame(call: Call, { steps = 0, runtime = true } = {}): Promise<void> {
  const { graph, feeds } = callGraph(call);
  const kernel = runGraph(graph, feeds);
  const written = expandOps(graph, ({ op }) => op !== call.op);
  expect(written.nodes.every(({ op }) => op !== call.op)).toBe(true);
  const expanded = runGraph(written, feeds);
  for (const [name, value] of kernel) {
    const other = expanded.get(name);
    expect(other?.dims, `${call.op} ${name}`).toEqual(value.dims);
    expect(other?.dtype, `${call.op} ${name}`).toBe(value.dtype);
    expectClose(`${call.op} ${name}, expanded`, other?.data ?? [], value.data, steps);
  }
  if (!runtime) return;
  const found = await runOnnxRuntime(graph, tensorFeeds(feeds), 'disabled');
  for (const [name, value] of kernel) {
    const other = found.get(name);
    expect(other?.dims, `${call.op} ${name}, onnxruntime`).toEqual(value.dims);
    const data = Array.from(other?.data ?? [], Number);
    expectClose(`${call.op} ${name}, onnxruntime`, data, value.data, steps);
  }
}

function whole(
  dtype: Argument['dtype'],
  dims: readonly number[],
  low: number,
  high: number,
): Argument {
  const { data } = uniform(random, dims, low, high + 1);
  return { dtype, dims, data: data.map(Math.floor), constant: true };
}
const constant = (argument: Argument): Argument => ({ ...argument, constant: true });
const scales = (...dims: number[]) => constant(uniform(random, dims, 0.02, 0.2));

describe('quantised operators', () => {
  const x = uniform(random, [2, 5, 3], -9, 9);

  it('QuantizeLinear and DequantizeLinear: tensor, axis, blocks that do not fit, 4 and 16 bits', async () => {
    const settings: readonly [readonly number[], Record<string, Attribute>, boolean][] = [
      [[], {}, true],
      [[5], { axis: attr.int(1) }, true],
      [[3], { axis: attr.int(-1) }, true],
      [[2, 3, 3], { axis: attr.int(1), block_size: attr.int(2) }, false],
      [[2, 5, 1], { axis: attr.int(2), block_size: attr.int(3) }, true],
    ];
    for (const [dims, attributes, runtime] of settings) {
      for (const [dtype, low, high] of [
        ['uint8', 100, 150],
        ['int8', -20, 20],
        ['int16', -300, 300],
        ['uint4', 3, 9],
        ['int4', -3, 3],
      ] as const) {
        const scale = scales(...dims);
        const zero = whole(dtype, dims, low, high);
        const call = { op: 'QuantizeLinear', inputs: [x, scale, zero], attributes };
        // onnxruntime-node knows no tensors of 4 bits as operands of these.
        const known = runtime && !dtype.endsWith('4');
        await expectSame(call, { steps: 1, runtime: known });
        const codes = whole(
          dtype,
          x.dims,
          dtype === 'int4' ? -8 : 0,
          dtype.endsWith('4') ? 7 : 127,
        );
        await expectSame(
          { op: 'DequantizeLinear', inputs: [codes, scale, zero], attributes },
          { runtime: known },
        );
      }
    }
  });

  it('QuantizeLinear without a zero point, of float8 and of halves', async () => {
    const halves = given('float32', [6], [0.5, 1.5, 2.5, -0.5, 300, -7]);
    await expectSame({ op: 'QuantizeLinear', inputs: [halves, given('float32', [], [1], true)] });
    const float8 = { output_dtype: attr.int(17) };
    const inputs = [x, given('float32', [], [0.01], true)];
    await expectSame({ op: 'QuantizeLinear', inputs, attributes: float8 }, { runtime: false });
  });

  it('DynamicQuantizeLinear, also of nothing but zeros', async () => {
    await expectSame({ op: 'DynamicQuantizeLinear', inputs: [x], outputs: 3 }, { steps: 1 });
    const zeros = given('float32', [3], [0, 0, 0]);
    await expectSame({ op: 'DynamicQuantizeLinear', inputs: [zeros], outputs: 3 });
  });

  it('MatMulInteger and QLinearMatMul, zero points for rows and columns', async () => {
    const a = whole('uint8', [2, 4, 3], 0, 255);
    const b = whole('int8', [3, 5], -128, 127);
    const [zeroA, zeroB] = [whole('uint8', [], 90, 140), whole('int8', [], -9, 9)];
    await expectSame({ op: 'MatMulInteger', inputs: [a, b] });
    await expectSame({ op: 'MatMulInteger', inputs: [a, b, zeroA, whole('int8', [5], -9, 9)] });
    const rows = whole('uint8', [4], 0, 255);
    await expectSame({ op: 'MatMulInteger', inputs: [a, b, rows] }, { runtime: false });
    const y = [scales(), whole('uint8', [], 100, 140)];
    const plain = [a, scales(), zeroA, b, scales(), zeroB, ...y];
    await expectSame({ op: 'QLinearMatMul', inputs: plain }, { steps: 1 });
    const columns = [a, scales(), zeroA, b, scales(5), whole('int8', [5], -9, 9), ...y];
    await expectSame({ op: 'QLinearMatMul', inputs: columns }, { steps: 1 });
  });

  it('ConvInteger and QLinearConv, padded, strided, scales for filters', async () => {
    const picture = whole('uint8', [2, 4, 6, 5], 0, 255);
    const filters = whole('uint8', [4, 2, 3, 2], 0, 255);
    const attributes = {
      pads: attr.ints([1, 0, 2, 1]),
      strides: attr.ints([2, 1]),
      group: attr.int(2),
    };
    const [zeroX, zeroW] = [whole('uint8', [], 90, 140), whole('uint8', [], 90, 140)];
    await expectSame({ op: 'ConvInteger', inputs: [picture, filters, zeroX, zeroW], attributes });
    const signed = whole('int8', [4, 2, 3, 2], -128, 127);
    const inputs = [
      ...[picture, scales(), zeroX],
      ...[signed, scales(4), given('int8', [4], [0, 0, 0, 0], true)],
      ...[given('float32', [], [3], true), whole('uint8', [], 100, 140)],
      whole('int32', [4], -500, 500),
    ];
    await expectSame({ op: 'QLinearConv', inputs, attributes }, { steps: 1 });
  });

  it('MatMulNBits of 4 and 8 bits, with packed, float and no zero points', async () => {
    for (const [bits, inner, block] of [
      [4, 32, 16],
      [4, 50, 16],
      [8, 40, 32],
      [2, 32, 16],
    ] as const) {
      const columns = 3;
      const blocks = Math.ceil(inner / block);
      const width = Math.ceil((blocks * bits) / 8);
      const attributes = {
        K: attr.int(inner),
        N: attr.int(columns),
        bits: attr.int(bits),
        block_size: attr.int(block),
      };
      const common = [
        uniform(random, [2, 4, inner]),
        whole('uint8', [columns, blocks, (block * bits) / 8], 0, 255),
        scales(columns, blocks),
      ];
      const call = (...rest: (Argument | undefined)[]): Call => ({
        op: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: [...common, ...rest],
        attributes,
      });
      // onnxruntime's processor kernels have no 2 bits.
      const runtime = bits !== 2;
      await expectSame(call(), { runtime });
      await expectSame(call(whole('uint8', [columns, width], 0, 255)), { runtime });
      await expectSame(call(uniform(random, [columns, blocks], 1, 9)), { runtime: false });
      const bias = constant(uniform(random, [columns]));
      await expectSame(call(undefined, undefined, bias), { runtime: false });
    }
  });
});

describe('other composites', () => {
  it('Hardmax gives ties to the first', async () => {
    const x = given('float32', [2, 3], [1, 3, 3, -1, -2, -1]);
    await expectSame({ op: 'Hardmax', inputs: [x] });
    await expectSame({ op: 'Hardmax', inputs: [x], attributes: { axis: attr.int(0) } });
  });

  it('Size and EyeLike', async () => {
    const x = uniform(random, [3, 5]);
    await expectSame({ op: 'Size', inputs: [x] });
    await expectSame({ op: 'EyeLike', inputs: [x], attributes: { k: attr.int(-1) } });
    await expectSame({ op: 'EyeLike', inputs: [x], attributes: { dtype: attr.int(6) } });
  });

  it('ReduceLogSumExp of infinities', async () => {
    const x = given('float32', [3, 2], [-Infinity, -Infinity, Infinity, 1, 800, 801]);
    const call = { op: 'ReduceLogSumExp', inputs: [x, ints([1])] };
    await expectSame(call, { runtime: false });
  });

  it.each([
    [
      'bij,bjk->bik',
      [
        [2, 3, 4],
        [2, 4, 5],
      ],
    ],
    ['ii->i', [[4, 4]]],
    [
      '...ij,...j->...i',
      [
        [2, 3, 3, 4],
        [1, 3, 4],
      ],
    ],
    [
      'abc,cd,de->abe',
      [
        [2, 2, 3],
        [3, 2],
        [2, 4],
      ],
    ],
    [
      'ij,kj',
      [
        [2, 3],
        [4, 3],
      ],
    ],
    ['iji->j', [[2, 3, 2]]],
    [
      ' a b , b c -> c a ',
      [
        [2, 3],
        [3, 4],
      ],
    ],
  ])('Einsum %s', async (equation, dims) => {
    const inputs = dims.map((each) => uniform(random, each));
    await expectSame({ op: 'Einsum', inputs, attributes: { equation: attr.string(equation) } });
  });

  it.each(['ij,jk->ikz', 'i.j->ij', 'ij->ijk', 'ij,jk->ii', 'ij'])(
    'Einsum refuses %s of the shapes [2, 3] and [3, 4]',
    (equation) => {
      const inputs = [uniform(random, [2, 3]), uniform(random, [3, 4])];
      const attributes = { equation: attr.string(equation) };
      expect(() => callGraph({ op: 'Einsum', inputs, attributes })).toThrow(/Einsum/);
    },
  );

  it('losses of targets that are ignored, labels outside refused', async () => {
    const scores = uniform(random, [3, 4, 2], -3, 3);
    const labels = given('int64', [3, 2], [0, 3, -1, 2, 1, -1]);
    const weights = constant(uniform(random, [4], 0.5, 2));
    for (const reduction of ['none', 'sum', 'mean']) {
      const attributes = { reduction: attr.string(reduction), ignore_index: attr.int(-1) };
      for (const inputs of [
        [scores, labels],
        [scores, labels, weights],
      ]) {
        await expectSame(
          { op: 'NegativeLogLikelihoodLoss', inputs, attributes },
          { runtime: false },
        );
        const call = { op: 'SoftmaxCrossEntropyLoss', inputs, attributes, outputs: 2 };
        await expectSame(call, { runtime: false });
      }
    }
    const { graph, feeds } = callGraph({
      op: 'NegativeLogLikelihoodLoss',
      inputs: [scores, labels],
    });
    expect(() => runGraph(graph, feeds)).toThrow(/there are 4 classes/);
  });
});
