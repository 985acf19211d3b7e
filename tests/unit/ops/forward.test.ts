/**
 * Reference kernels say what onnxruntime says, and what their shape rules promised. ONNX's own tests
 * (tests/conformance) cover the operators one by one; here are settings that they lack.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr } from '../../../src/onnx/graph';
import {
  callGraph,
  distinct,
  expectInferredShapes,
  given,
  ints,
  randomNumbers,
  tensorFeeds,
  uniform,
} from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { runOnnxRuntime } from '../../support/onnxruntime';
import { windowArbitrary, windowCall } from '../../support/windows';

/** @param steps how far quantised results may be apart: rounding of halves may differ by one. */
async function expectSame(call: Call, steps = 0): Promise<void> {
  expectInferredShapes(call);
  const { graph, feeds } = callGraph(call);
  const reference = runGraph(graph, feeds);
  const found = await runOnnxRuntime(graph, tensorFeeds(feeds), 'disabled');
  for (const [name, value] of reference) {
    const other = found.get(name);
    expect(other?.dims, `${call.op} ${name}`).toEqual(value.dims);
    value.data.forEach((x, i) => {
      const y = other?.data[i] ?? NaN;
      if (Object.is(x, y) || x === y) return;
      const allowed = Math.max(steps, 2e-5 * Math.max(1, Math.abs(x)));
      expect(Math.abs(y - x), `${call.op} ${name}[${i}]: ${x} for ${y}`).toBeLessThanOrEqual(
        allowed,
      );
    });
  }
}

const random = randomNumbers(77);
const bools = (dims: readonly number[]): Argument => ({
  dtype: 'bool',
  dims,
  data: uniform(random, dims).data.map((x) => (x > 0 ? 1 : 0)),
});
const bytes = (dtype: 'uint8' | 'int8', dims: readonly number[]): Argument => ({
  dtype,
  dims,
  data: uniform(random, dims, dtype === 'int8' ? -127 : 0, dtype === 'int8' ? 127 : 255).data.map(
    Math.round,
  ),
});
const special = given('float32', [6], [NaN, Infinity, -Infinity, 0, -0.5, 3]);

describe('reference kernels equal onnxruntime', () => {
  it.each(['Identity', 'Neg', 'Abs', 'Exp', 'Sign', 'Erf', 'Relu', 'Tanh', 'Sigmoid', 'Softplus'])(
    '%s, special values included',
    async (op) => {
      await expectSame({ op, inputs: [uniform(random, [2, 3, 2], -5, 5)] });
      // onnxruntime's vectorised kernels lose NaN or infinity in some of these.
      if (['Neg', 'Abs', 'Exp'].includes(op)) await expectSame({ op, inputs: [special] });
    },
  );

  it('Log, Sqrt, Reciprocal, Gelu, IsNaN, Not', async () => {
    const positive = uniform(random, [7], 0.1, 9);
    for (const op of ['Log', 'Sqrt', 'Reciprocal']) await expectSame({ op, inputs: [positive] });
    const x = uniform(random, [40], -4, 4);
    await expectSame({ op: 'Gelu', inputs: [x] });
    await expectSame({ op: 'Gelu', inputs: [x], attributes: { approximate: attr.string('tanh') } });
    await expectSame({ op: 'IsNaN', inputs: [special] });
    await expectSame({ op: 'Not', inputs: [bools([5])] });
  });

  it('arithmetic and comparisons with broadcasting, and on integers', async () => {
    const a = uniform(random, [2, 1, 3], 0.5, 2);
    const b = uniform(random, [4, 1], 0.5, 2);
    for (const op of ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max']) {
      await expectSame({ op, inputs: [a, b] });
    }
    await expectSame({ op: 'Max', inputs: [a, b, uniform(random, [])] });
    const left = given('int64', [4], [7, -7, 3, 0]);
    const right = given('int64', [4], [2, 2, -3, 5]);
    for (const op of ['Add', 'Mul', 'Div', 'Equal', 'Greater', 'Less']) {
      await expectSame({ op, inputs: [left, right] });
    }
    const close = given('float32', [4], [1, 2, NaN, 4]);
    const other = given('float32', [4], [1, 3, NaN, 2]);
    for (const op of ['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual']) {
      await expectSame({ op, inputs: [close, other] });
    }
    for (const op of ['And', 'Or']) await expectSame({ op, inputs: [bools([2, 3]), bools([3])] });
  });

  it('Where, Clip, Cast', async () => {
    await expectSame({
      op: 'Where',
      inputs: [bools([3, 1]), uniform(random, [2, 1, 4]), uniform(random, [])],
    });
    const bounds = [given('float32', [], [-0.2], true), given('float32', [], [0.4], true)];
    await expectSame({ op: 'Clip', inputs: [uniform(random, [3, 3]), ...bounds] });
    const x = given('float32', [6], [-1.7, 0, 0.4, 1.5, 100.9, -0.2]);
    for (const to of [6, 7, 9, 11]) {
      await expectSame({ op: 'Cast', inputs: [x], attributes: { to: attr.int(to) } });
    }
    const whole = given('int64', [3], [0, 5, -3]);
    await expectSame({ op: 'Cast', inputs: [whole], attributes: { to: attr.int(1) } });
    await expectSame({
      op: 'Cast',
      inputs: [bytes('uint8', [4])],
      attributes: { to: attr.int(1) },
    });
  });

  it('MatMul, Gemm', async () => {
    const shapes = [
      [[3], [3, 2]],
      [[2, 3], [3]],
      [
        [5, 2, 3],
        [3, 4],
      ],
      [
        [2, 1, 2, 3],
        [5, 3, 2],
      ],
    ] as const;
    for (const [a, b] of shapes) {
      await expectSame({ op: 'MatMul', inputs: [uniform(random, a), uniform(random, b)] });
    }
    const inputs = [uniform(random, [3, 2]), uniform(random, [4, 3]), uniform(random, [2, 1])];
    await expectSame({
      op: 'Gemm',
      inputs,
      attributes: {
        transA: attr.int(1),
        transB: attr.int(1),
        alpha: attr.float(0.5),
        beta: attr.float(2),
      },
    });
  });

  it.each(['Conv', 'MaxPool', 'AveragePool'] as const)('%s over random windows', (op) =>
    fc.assert(
      fc.asyncProperty(windowArbitrary, (window) => expectSame(windowCall(op, window))),
      { numRuns: 25 },
    ),
  );

  it('Conv with automatic padding', async () => {
    for (const mode of ['SAME_UPPER', 'SAME_LOWER', 'VALID']) {
      const inputs = [uniform(random, [1, 2, 6, 5]), uniform(random, [3, 2, 4, 2])];
      const attributes = { auto_pad: attr.string(mode), strides: attr.ints([2, 1]) };
      await expectSame({ op: 'Conv', inputs, attributes });
    }
  });

  it('MaxPool with indices, GlobalAveragePool, BatchNormalization', async () => {
    await expectSame({
      op: 'MaxPool',
      inputs: [distinct(random, [2, 2, 4, 4])],
      attributes: { kernel_shape: attr.ints([3, 2]), pads: attr.ints([1, 0, 1, 0]) },
      outputs: 2,
    });
    await expectSame({ op: 'GlobalAveragePool', inputs: [uniform(random, [2, 3, 4, 5])] });
    const channel = () => uniform(random, [3], 0.5, 2);
    const inputs = [uniform(random, [2, 3, 4, 5]), channel(), channel(), channel(), channel()];
    await expectSame({
      op: 'BatchNormalization',
      inputs,
      attributes: { epsilon: attr.float(1e-3) },
    });
  });

  it('Softmax, LogSoftmax, reductions, ArgMax', async () => {
    const x = uniform(random, [2, 3, 4], -30, 30);
    for (const axis of [0, 1, -1]) {
      for (const op of ['Softmax', 'LogSoftmax']) {
        await expectSame({ op, inputs: [x], attributes: { axis: attr.int(axis) } });
      }
      for (const keepdims of [attr.int(0), attr.int(1)]) {
        const attributes = { axis: attr.int(axis), keepdims };
        await expectSame({ op: 'ArgMax', inputs: [x], attributes });
        for (const op of ['ReduceSum', 'ReduceMean', 'ReduceMax']) {
          await expectSame({ op, inputs: [x, ints([axis, -2])], attributes: { keepdims } });
        }
      }
    }
    await expectSame({ op: 'ReduceSum', inputs: [x] });
    const noop = { noop_with_empty_axes: attr.int(1) };
    await expectSame({ op: 'ReduceSum', inputs: [x, ints([])], attributes: noop });
    const ties = given('float32', [2, 4], [1, 3, 3, 0, 2, 2, 2, 2]);
    for (const last of [attr.int(0), attr.int(1)]) {
      const attributes = { axis: attr.int(1), select_last_index: last };
      await expectSame({ op: 'ArgMax', inputs: [ties], attributes });
    }
  });

  it('shapes: Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Expand, Dropout', async () => {
    const x = uniform(random, [2, 3, 4]);
    await expectSame({ op: 'Reshape', inputs: [x, ints([0, -1])] });
    await expectSame({ op: 'Reshape', inputs: [x, ints([4, 6])] });
    for (const axis of [0, 1, 3, -1]) {
      await expectSame({ op: 'Flatten', inputs: [x], attributes: { axis: attr.int(axis) } });
    }
    const thin = uniform(random, [1, 3, 1]);
    await expectSame({ op: 'Squeeze', inputs: [thin] });
    await expectSame({ op: 'Squeeze', inputs: [thin, ints([-1])] });
    await expectSame({ op: 'Unsqueeze', inputs: [x, ints([-1, 1])] });
    await expectSame({ op: 'Transpose', inputs: [x] });
    await expectSame({ op: 'Transpose', inputs: [x], attributes: { perm: attr.ints([2, 0, 1]) } });
    await expectSame({ op: 'Expand', inputs: [thin, ints([2, 1, 1, 5])] });
    await expectSame({ op: 'Dropout', inputs: [x] });
    await expectSame({ op: 'Dropout', inputs: [x], outputs: 2 });
  });

  it('moves: Concat, Split, Gather, OneHot, Pad', async () => {
    const parts = [2, 1].map((length) => uniform(random, [2, length, 3]));
    await expectSame({ op: 'Concat', inputs: parts, attributes: { axis: attr.int(-2) } });
    const x = uniform(random, [2, 5, 3]);
    const axis = { axis: attr.int(1) };
    await expectSame({ op: 'Split', inputs: [x, ints([1, 4])], attributes: axis, outputs: 2 });
    const uneven = { ...axis, num_outputs: attr.int(3) };
    await expectSame({ op: 'Split', inputs: [x], attributes: uneven, outputs: 3 });
    const indices = given('int64', [2, 2], [0, -1, 4, 2]);
    await expectSame({ op: 'Gather', inputs: [x, indices], attributes: axis });
    for (const at of [-1, 0, 1]) {
      await expectSame({
        op: 'OneHot',
        inputs: [
          given('int64', [4], [0, 2, -1, 7]),
          ints([3]),
          given('float32', [2], [-1, 4], true),
        ],
        attributes: { axis: attr.int(at) },
      });
    }
    await expectSame({ op: 'Pad', inputs: [x, ints([0, 1, 2, 1, 0, 3])] });
    const filled = [ints([2, 1]), given('float32', [], [9], true), ints([-1])];
    await expectSame({ op: 'Pad', inputs: [x, ...filled] });
  });

  it('Slice with any start, end and step', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: -8, max: 8 }),
        fc.integer({ min: -8, max: 8 }),
        fc.constantFrom(-3, -1, 1, 2),
        async (start, end, step) => {
          const inputs = [
            distinct(random, [3, 6]),
            ints([start]),
            ints([end]),
            ints([1]),
            ints([step]),
          ];
          await expectSame({ op: 'Slice', inputs });
        },
      ),
      { numRuns: 25 },
    ));

  it('Slice to the end as exporters write it', async () => {
    const end = {
      dtype: 'int64',
      dims: [1],
      data: Float64Array.of(2 ** 63),
      constant: true,
    } as const;
    await expectSame({ op: 'Slice', inputs: [uniform(random, [5, 2]), ints([2]), end, ints([0])] });
  });

  it('Constant, ConstantOfShape, Shape', async () => {
    const tensor = { dtype: 'float32', dims: [2], data: Float32Array.of(1, 2) } as const;
    await expectSame({ op: 'Constant', inputs: [], attributes: { value: attr.tensor(tensor) } });
    await expectSame({ op: 'Constant', inputs: [], attributes: { value_ints: attr.ints([3, 4]) } });
    const seven = { dtype: 'int64', dims: [1], data: BigInt64Array.of(7n) } as const;
    const attributes = { value: attr.tensor(seven) };
    await expectSame({ op: 'ConstantOfShape', inputs: [ints([2, 3])], attributes });
    const x = uniform(random, [2, 3, 4]);
    await expectSame({ op: 'Shape', inputs: [x] });
    await expectSame({ op: 'Shape', inputs: [x], attributes: { start: attr.int(-2) } });
  });

  it('int8: quantise, dequantise, and integer products', async () => {
    const x = uniform(random, [2, 3, 4], -3, 5);
    const scale = given('float32', [], [0.05], true);
    const zero = given('uint8', [], [120], true);
    await expectSame({ op: 'QuantizeLinear', inputs: [x, scale, zero] });
    const halves = given('float32', [6], [0.5, 1.5, 2.5, -0.5, -1.5, 1000]);
    await expectSame({ op: 'QuantizeLinear', inputs: [halves, given('float32', [], [1], true)] });
    const perAxis = [uniform(random, [3], 0.01, 0.1), given('int8', [3], [0, 5, -5])];
    const axis = { axis: attr.int(1) };
    await expectSame({ op: 'QuantizeLinear', inputs: [x, ...perAxis], attributes: axis });
    const q = bytes('int8', [2, 3, 4]);
    await expectSame({ op: 'DequantizeLinear', inputs: [q, ...perAxis], attributes: axis });
    await expectSame({ op: 'DynamicQuantizeLinear', inputs: [x], outputs: 3 });
    await expectSame({
      op: 'MatMulInteger',
      inputs: [
        bytes('uint8', [4, 3]),
        bytes('int8', [3, 5]),
        given('uint8', [], [128]),
        { ...bytes('int8', [5]), constant: true },
      ],
    });
    await expectSame({
      op: 'ConvInteger',
      inputs: [bytes('uint8', [1, 2, 5, 5]), bytes('uint8', [3, 2, 3, 3]), given('uint8', [], [9])],
      attributes: { pads: attr.ints([1, 1, 1, 1]), strides: attr.ints([2, 2]) },
    });
  });
});
