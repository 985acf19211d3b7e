/** Calls whose lengths are not multiples of four, for every kernel of the emitted WebAssembly. */
import { attr, TRAINING_DOMAIN } from '../../src/onnx/graph';
import { given, ints, randomNumbers, uniform } from './calls';
import type { Argument, Call } from './calls';

const random = randomNumbers(31);
const x = (...dims: readonly number[]): Argument => uniform(random, dims);
const positive = (...dims: readonly number[]): Argument => uniform(random, dims, 0.2, 3);
const LENGTHS = [1, 3, 5, 17];

function products(): Call[] {
  const gemms = LENGTHS.flatMap((rows) =>
    LENGTHS.flatMap((columns) =>
      [1, 6, 35].map((depth, index): Call => {
        const [transA, transB] = [index % 2, (rows + columns + index) % 2];
        return {
          op: 'Gemm',
          inputs: [
            transA ? x(depth, rows) : x(rows, depth),
            transB ? x(columns, depth) : x(depth, columns),
            ...(index === 0 ? [] : [x(index === 1 ? columns : 1)]),
          ],
          attributes: {
            transA: attr.int(transA),
            transB: attr.int(transB),
            alpha: attr.float(index === 2 ? 0.5 : 1),
            beta: attr.float(index === 2 ? 2 : 1),
          },
        };
      }),
    ),
  );
  const batched: [number[], number[]][] = [
    [
      [2, 3, 5, 7],
      [2, 3, 7, 9],
    ],
    [
      [2, 3, 5, 7],
      [7, 9],
    ],
    [
      [3, 1, 5, 4],
      [1, 2, 4, 3],
    ],
    [
      [130, 3],
      [3, 20],
    ],
    // Deeper than a panel, and more rows than a block.
    [
      [67, 1030],
      [1030, 13],
    ],
  ];
  return [
    ...gemms,
    ...batched.map(([a, b]): Call => ({ op: 'MatMul', inputs: [x(...a), x(...b)] })),
  ];
}

function rows(): Call[] {
  return LENGTHS.flatMap((length): Call[] => [
    { op: 'Softmax', inputs: [x(5, length)] },
    { op: 'LogSoftmax', inputs: [x(5, length)] },
    {
      op: 'LayerNormalization',
      inputs: [x(5, length), x(length), x(length)],
      outputs: 3,
    },
    { op: 'RMSNormalization', inputs: [x(5, length), x(length)] },
    {
      op: 'SoftmaxCrossEntropy',
      domain: TRAINING_DOMAIN,
      inputs: [
        x(5, length),
        given('int32', [5], [0, length - 1, 0, 0, 0]),
        given('float32', [5], [1, 2, 0, 0.5, 1]),
      ],
      outputs: 3,
    },
    {
      op: 'SoftmaxCrossEntropyGrad',
      domain: TRAINING_DOMAIN,
      inputs: [
        x(),
        positive(5, length),
        given('int32', [5], [0, length - 1, 0, 0, 0]),
        given('float32', [5], [1, 2, 0, 0.5, 1]),
      ],
    },
    {
      op: 'LayerNormGrad',
      domain: TRAINING_DOMAIN,
      inputs: [x(5, length), x(5, length), x(length), x(5, 1), positive(5, 1)],
      attributes: { axis: attr.int(1) },
      outputs: 3,
    },
    {
      op: 'RMSNormGrad',
      domain: TRAINING_DOMAIN,
      inputs: [x(5, length), x(5, length), x(length), positive(5, 1)],
      attributes: { axis: attr.int(1) },
      outputs: 2,
    },
  ]);
}

function planes(): Call[] {
  const settings = [
    { height: 5, width: 7, kernel: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1] },
    { height: 6, width: 9, kernel: [3, 2], strides: [2, 1], pads: [0, 1, 1, 0], dilations: [1, 1] },
    { height: 9, width: 8, kernel: [3, 3], strides: [1, 2], pads: [2, 2, 2, 2], dilations: [2, 2] },
    { height: 3, width: 3, kernel: [1, 1], strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1] },
    {
      height: 6,
      width: 10,
      kernel: [2, 2],
      strides: [2, 2],
      pads: [0, 0, 0, 0],
      dilations: [1, 1],
    },
    {
      height: 5,
      width: 15,
      kernel: [2, 2],
      strides: [2, 2],
      pads: [0, 0, 0, 0],
      dilations: [1, 1],
    },
    {
      height: 4,
      width: 17,
      kernel: [2, 5],
      strides: [3, 3],
      pads: [1, 2, 0, 2],
      dilations: [1, 1],
    },
  ];
  return settings.flatMap(({ height, width, kernel, strides, pads, dilations }): Call[] => {
    const window = {
      kernel_shape: attr.ints(kernel),
      strides: attr.ints(strides),
      pads: attr.ints(pads),
      dilations: attr.ints(dilations),
    };
    const out = [height, width].map((length, axis) => {
      const span = ((kernel[axis] ?? 1) - 1) * (dilations[axis] ?? 1) + 1;
      const padded = length + (pads[axis] ?? 0) + (pads[axis + 2] ?? 0);
      return Math.floor((padded - span) / (strides[axis] ?? 1)) + 1;
    });
    const pooled = { ...window };
    return [1, 2].flatMap((group): Call[] => {
      const [channels, filters] = [3 * group, 5 * group];
      const w = [filters, 3, ...kernel];
      const training = { ...window, group: attr.int(group) };
      return [
        {
          op: 'Conv',
          inputs: [x(2, channels, height, width), x(...w), x(filters)],
          attributes: training,
        },
        {
          op: 'ConvGradInput',
          domain: TRAINING_DOMAIN,
          inputs: [x(2, filters, ...out), x(...w)],
          attributes: { ...training, input_shape: attr.ints([2, channels, height, width]) },
        },
        {
          op: 'ConvGradWeight',
          domain: TRAINING_DOMAIN,
          inputs: [x(2, filters, ...out), x(2, channels, height, width)],
          attributes: { ...training, weight_shape: attr.ints(w) },
        },
        ...(group === 1
          ? [
              { op: 'MaxPool', inputs: [x(2, 3, height, width)], attributes: pooled },
              {
                op: 'MaxPoolGrad',
                domain: TRAINING_DOMAIN,
                inputs: [x(2, 3, ...out), x(2, 3, height, width)],
                attributes: pooled,
              },
              { op: 'AveragePool', inputs: [x(2, 3, height, width)], attributes: pooled },
            ]
          : []),
      ];
    });
  });
}

function channels(): Call[] {
  return LENGTHS.flatMap((inner): Call[] => [
    {
      op: 'BatchNormTrain',
      domain: TRAINING_DOMAIN,
      inputs: [x(3, 5, inner), x(5), x(5), x(5), positive(5)],
      outputs: 5,
    },
    {
      op: 'BatchNormGrad',
      domain: TRAINING_DOMAIN,
      inputs: [x(3, 5, inner), x(3, 5, inner), x(5), x(5), positive(5)],
      outputs: 3,
    },
    { op: 'BatchNormalization', inputs: [x(3, 5, inner), x(5), x(5), x(5), positive(5)] },
    { op: 'GlobalAveragePool', inputs: [x(3, 5, inner, 3)] },
  ]);
}

function movements(): Call[] {
  const indices = given('int64', [2, 3], [0, 4, -1, 2, 2, 0]);
  return [
    { op: 'Transpose', inputs: [x(3, 5, 7)], attributes: { perm: attr.ints([2, 0, 1]) } },
    { op: 'Concat', inputs: [x(3, 5), x(3, 1), x(3, 17)], attributes: { axis: attr.int(1) } },
    { op: 'Concat', inputs: [x(2, 3), x(5, 3)], attributes: { axis: attr.int(0) } },
    { op: 'Slice', inputs: [x(5, 17), ints([4, 1]), ints([0, 16]), ints([0, 1]), ints([-1, 3])] },
    {
      op: 'Split',
      inputs: [x(5, 9)],
      attributes: { axis: attr.int(1), num_outputs: attr.int(3) },
      outputs: 3,
    },
    { op: 'Pad', inputs: [x(3, 5), ints([1, 2, 0, 3])] },
    { op: 'Expand', inputs: [x(3, 1), ints([2, 3, 5])] },
    { op: 'Gather', inputs: [x(5, 7), indices] },
    { op: 'Gather', inputs: [x(3, 5, 2), indices], attributes: { axis: attr.int(1) } },
    {
      op: 'GatherGrad',
      domain: TRAINING_DOMAIN,
      inputs: [x(2, 3, 17), indices],
      attributes: { dims: attr.ints([5, 17]) },
    },
    { op: 'Where', inputs: [given('bool', [3, 1], [1, 0, 1]), x(3, 5), x(5)] },
    { op: 'Clip', inputs: [x(3, 5), given('float32', [], [-0.5], true), x()] },
    { op: 'Greater', inputs: [x(3, 5), x(3, 1)] },
    {
      op: 'Cast',
      inputs: [given('int32', [5], [-2, 0, 7, 1, 3])],
      attributes: { to: attr.int(1) },
    },
    { op: 'Pow', inputs: [x(3, 5), given('float32', [], [2], true)] },
    { op: 'Add', inputs: [x(3, 1, 5), x(1, 4, 1)] },
    { op: 'Max', inputs: [x(3, 5), x(5), x(3, 1)] },
  ];
}

function reductions(): Call[] {
  const names = ['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1'];
  const shapes: [number[], number[]][] = [
    [[5, 17], [1]],
    [[5, 17], [0]],
    [
      [3, 5, 7],
      [0, 2],
    ],
    [
      [3, 5, 7],
      [0, 1, 2],
    ],
    [[3, 5, 1], [1]],
    [[40, 3], [0]],
    [[2, 133], [1]],
  ];
  return [...names, 'ReduceL2', 'ReduceSumSquare', 'ReduceLogSum'].flatMap((op) =>
    shapes.map(([dims, axes], index): Call => ({
      op,
      inputs: [positive(...dims), ints(axes)],
      attributes: { keepdims: attr.int(index % 2) },
    })),
  );
}

export const SIMD_CALLS: readonly (readonly [name: string, call: Call])[] = [
  ...products(),
  ...rows(),
  ...planes(),
  ...channels(),
  ...movements(),
  ...reductions(),
].map((call, index) => [
  `${index}: ${call.op} ${call.inputs.map((input) => `[${input?.dims.join() ?? ''}]`).join(' ')}`,
  call,
]);
