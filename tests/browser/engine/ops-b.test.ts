/** Operators on pictures and their gradients on both device executors, against the reference interpreter. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, Graph } from '../../../src/onnx/graph';
import {
  callGraph,
  distinct,
  given,
  gradientGraph,
  ints,
  randomNumbers,
  tensorFeeds,
  uniform,
} from '../../support/calls';
import type { Call } from '../../support/calls';
import { windowArbitrary, windowCall } from '../../support/windows';
import { distance } from './support';

type Dims = readonly number[];

const random = randomNumbers(11);
const x = (...dims: Dims) => uniform(random, dims);
const text = (name: string, value: string) => ({ [name]: attr.string(value) });
const square = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      attr.ints(new Array<number>(name === 'pads' ? 4 : 2).fill(value)),
    ]),
  );

/** Large enough for several pixels a thread, odd enough for ragged rows. */
function depthwise(dims: Dims, kernel: number, window: Readonly<Record<string, number>>): Call {
  const channels = dims[1] ?? 1;
  const group = attr.int(channels);
  return {
    op: 'Conv',
    inputs: [x(...dims), x(channels, 1, kernel, kernel), x(channels)],
    attributes: { ...square(window), group },
  };
}

const windows = fc.sample(windowArbitrary, { numRuns: 3, seed: 23 });

const CALLS: readonly Call[] = [
  ...(['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool', 'LpPool'] as const).flatMap((op) =>
    windows.map((window) => windowCall(op, window)),
  ),
  depthwise([2, 32, 32, 33], 3, { pads: 1 }),
  depthwise([2, 8, 15, 14], 3, { pads: 1, strides: 2 }),
  depthwise([2, 32, 34, 30], 5, { pads: 2, strides: 2 }),
  depthwise([1, 3, 9, 8], 3, { pads: 2, dilations: 2 }),
  {
    op: 'Conv',
    inputs: [x(2, 6, 5, 7), x(4, 6, 1, 1), x(4)],
  },
  { op: 'GlobalMaxPool', inputs: [distinct(random, [2, 3, 4, 5])] },
  { op: 'GlobalLpPool', inputs: [x(2, 3, 7)], attributes: { p: attr.int(3) } },
  // Windows of many taps are walked by a loop.
  {
    op: 'MaxPool',
    inputs: [distinct(random, [1, 2, 9, 9])],
    attributes: square({ kernel_shape: 9 }),
  },
  {
    op: 'AveragePool',
    inputs: [x(1, 2, 12, 12)],
    attributes: square({ kernel_shape: 9, pads: 1, strides: 2 }),
  },
  ...['linear', 'cubic', 'nearest'].map((mode): Call => ({
    op: 'Resize',
    inputs: [x(2, 3, 5, 4), undefined, undefined, ints([2, 3, 8, 3])],
    attributes: text('mode', mode),
  })),
  {
    op: 'Resize',
    inputs: [
      x(1, 2, 5, 4),
      given('float32', [4], [0.1, -0.4, 0.8, 1.2], true),
      undefined,
      ints([4, 6]),
    ],
    attributes: {
      axes: attr.ints([2, 3]),
      ...text('mode', 'linear'),
      ...text('coordinate_transformation_mode', 'tf_crop_and_resize'),
      extrapolation_value: attr.float(3),
    },
  },
  ...[
    ['zeros', 'nearest'],
    ['zeros', 'cubic'],
    ['border', 'linear'],
    ['reflection', 'linear'],
  ].map(([padding = '', mode = '']): Call => ({
    op: 'GridSample',
    inputs: [
      x(2, 3, 4, 5),
      // Of the nearest pixel the grid has no gradient.
      { ...uniform(random, [2, 3, 2, 2], -1.4, 1.4), constant: mode === 'nearest' },
    ],
    attributes: { ...text('mode', mode), ...text('padding_mode', padding) },
  })),
  {
    op: 'MaxUnpool',
    inputs: [x(1, 2, 2, 2), given('int64', [1, 2, 2, 2], [0, 3, 9, 14, 17, 19, 24, 31], true)],
    attributes: square({ kernel_shape: 2, strides: 2 }),
  },
  { op: 'AffineGrid', inputs: [x(2, 2, 3), ints([2, 1, 3, 4])] },
  { op: 'Col2Im', inputs: [x(2, 8, 6), ints([3, 4]), ints([2, 2])] },
  { op: 'DepthToSpace', inputs: [x(1, 8, 2, 3)], attributes: { blocksize: attr.int(2) } },
  { op: 'SpaceToDepth', inputs: [x(1, 2, 4, 6)], attributes: { blocksize: attr.int(2) } },
  { op: 'CenterCropPad', inputs: [x(2, 5, 4), ints([2, 2, 7])] },
];

/** Without gradients, or with outputs that have none. */
const INFERENCE: readonly Call[] = [
  ...[0, 1].map((order): Call => ({
    op: 'MaxPool',
    inputs: [distinct(random, [2, 2, 5, 4])],
    attributes: { ...square({ kernel_shape: 2, strides: 2 }), storage_order: attr.int(order) },
    outputs: 2,
  })),
  ...['avg', 'max'].map((mode): Call => ({
    op: 'RoiAlign',
    inputs: [
      uniform(random, [2, 3, 6, 7], 0, 1),
      given('float32', [3, 4], [0, 0, 5, 4, 1.2, 0.4, 3, 5.5, -1, 2, 9, 9]),
      given('int64', [3], [0, 1, 1], true),
    ],
    attributes: { ...text('mode', mode), output_height: attr.int(2), output_width: attr.int(3) },
  })),
];

let executors: Readonly<Record<string, Executor>>;
beforeAll(async () => {
  executors = { webgpu: await createWebgpuExecutor(), wasm: await createWasmExecutor() };
});
afterAll(() => {
  for (const executor of Object.values(executors)) executor.dispose();
});

async function expectSame(
  executor: Executor | undefined,
  graph: Graph,
  feeds: ReturnType<typeof callGraph>['feeds'],
): Promise<void> {
  const found = await executor?.evaluate(graph, tensorFeeds(feeds));
  for (const [name, { dims, data }] of runGraph(graph, feeds)) {
    const other = found?.get(name);
    expect(other?.dims, name).toEqual(dims);
    expect(distance(Array.from(other?.data ?? [], Number), data), name).toBeLessThan(2e-5);
  }
}

const titled = CALLS.map((call, index) => [`${index} ${call.op}`, call] as const);

describe.each(['webgpu', 'wasm'])('%s', (name) => {
  it.each(titled)('%s and its gradients', async (_, call) => {
    const wrt = call.inputs.flatMap((argument, index) =>
      argument?.dtype === 'float32' && !argument.constant ? [`x${index}`] : [],
    );
    // The call itself first: its node is not expanded for a gradient there.
    const alone = callGraph(call);
    await expectSame(executors[name], alone.graph, alone.feeds);
    const { graph, feeds } = gradientGraph(call, randomNumbers(1), wrt);
    await expectSame(executors[name], graph, feeds);
  });

  // onnxruntime-web has no RoiAlign of opset 22, only the older ones that files carry.
  it.each(INFERENCE.filter(({ op }) => name === 'webgpu' || op !== 'RoiAlign'))(
    '$op',
    async (call) => {
      const { graph, feeds } = callGraph(call);
      await expectSame(executors[name], graph, feeds);
    },
  );
});
