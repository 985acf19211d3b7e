/** Convolutions and their gradients in every variant against the reference. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { normals } from '../../../src/core/philox';
import { openDevice } from '../../../src/engine/device';
import type { GpuDevice } from '../../../src/engine/device';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Graph, Tensor } from '../../../src/onnx/graph';
import { distance } from './support';

interface Case {
  readonly x: readonly number[]; // [N, C, ...]
  readonly w: readonly number[]; // [O, C / groups, ...]
  readonly strides?: readonly number[];
  readonly dilations?: readonly number[];
  /** Before each axis, then after each. */
  readonly pads?: readonly number[];
  readonly group?: number;
  readonly bias?: true;
}

const CASES: readonly Case[] = [
  { x: [2, 3, 5, 7], w: [5, 3, 3, 3], pads: [1, 1, 1, 1], bias: true },
  { x: [4, 8, 6, 6], w: [17, 8, 3, 3], pads: [1, 1, 1, 1] },
  { x: [3, 5, 6, 5], w: [33, 5, 1, 1] },
  { x: [2, 4, 9, 5], w: [6, 4, 1, 1], strides: [2, 2] },
  {
    x: [2, 6, 9, 7],
    w: [4, 3, 3, 2],
    strides: [2, 1],
    dilations: [1, 2],
    pads: [0, 1, 1, 0],
    group: 2,
    bias: true,
  },
  { x: [4, 1, 17], w: [3, 1, 5], strides: [2], pads: [2, 1] },
  { x: [2, 2, 4, 5, 3], w: [3, 2, 2, 3, 1], strides: [1, 2, 1], pads: [0, 1, 0, 1, 1, 0] },
  { x: [2, 4, 9, 10], w: [4, 1, 3, 3], pads: [1, 1, 1, 1], group: 4, bias: true },
  { x: [2, 4, 9, 10], w: [4, 1, 3, 3], strides: [2, 2], pads: [1, 0, 1, 0], group: 4 },
];

/** Forward, input gradient and weight gradient of each case. */
function calls(cases: readonly Case[]): {
  readonly graph: Graph;
  readonly inputs: Map<string, Tensor>;
} {
  const builder = new GraphBuilder('convolutions');
  const inputs = new Map<string, Tensor>();
  const given = (dims: readonly number[]): string => {
    const name = builder.input(`in${inputs.size}`, 'float32', dims);
    inputs.set(name, { dtype: 'float32', dims, data: normals(sizeOf(dims), 1, 3, name) });
    return name;
  };
  for (const { x, w, strides, dilations, pads, group = 1, bias } of cases) {
    const rank = x.length - 2;
    const ones = new Array<number>(rank).fill(1);
    const [stride, dilation] = [strides ?? ones, dilations ?? ones];
    const padding = pads ?? new Array<number>(2 * rank).fill(0);
    const space = ones.map((_, axis) => {
      const span = ((w[axis + 2] ?? 1) - 1) * (dilation[axis] ?? 1) + 1;
      const room = (x[axis + 2] ?? 1) + (padding[axis] ?? 0) + (padding[rank + axis] ?? 0) - span;
      return Math.floor(room / (stride[axis] ?? 1)) + 1;
    });
    const y = [x[0] ?? 1, w[0] ?? 1, ...space];
    const attributes = {
      kernel_shape: attr.ints(w.slice(2)),
      strides: attr.ints(stride),
      dilations: attr.ints(dilation),
      pads: attr.ints(padding),
      group: attr.int(group),
    };
    const [image, weight, gradient] = [given(x), given(w), given(y)];
    const operands = bias ? [image, weight, given([w[0] ?? 1])] : [image, weight];
    builder.output(builder.node('Conv', operands, attributes), 'float32', y);
    const training = { domain: TRAINING_DOMAIN };
    const towardsX = { ...attributes, input_shape: attr.ints(x) };
    const dx = builder.node('ConvGradInput', [gradient, weight], towardsX, training);
    builder.output(dx, 'float32', x);
    const towardsW = { ...attributes, weight_shape: attr.ints(w) };
    const dw = builder.node('ConvGradWeight', [gradient, image], towardsW, training);
    builder.output(dw, 'float32', w);
  }
  return { graph: builder.build(), inputs };
}

let gpu: GpuDevice;
beforeAll(async () => {
  const opened = await openDevice();
  if (opened === null) throw new Error('no WebGPU');
  gpu = opened;
});
afterAll(() => gpu.device.destroy());

// Whole workgroups take an emulated GPU a second to compile, so tiles are asked for two cases only.
it.each([
  ['software', 'direct'],
  ['software', 'quads'],
  ['software', 'split'],
  ['hardware', 'tiled'],
  ['hardware', 'small tiles'],
  ['hardware', 'split'],
] as const)(
  'as on %s: %s',
  async (where, variant) => {
    const cases = where === 'software' ? CASES : CASES.filter((_, at) => at === 1 || at === 4);
    const { graph, inputs } = calls(cases);
    const executor = new WebgpuExecutor(
      { ...gpu, software: where === 'software' },
      { variants: (family) => (family.startsWith('conv') ? variant : undefined) },
    );
    const expected = runGraph(graph, inputs);
    const found = await executor.evaluate(graph, inputs);
    for (const { name, dims } of graph.outputs) {
      const [got, want] = [found, expected].map((each) =>
        Array.from(each.get(name)?.data ?? [], Number),
      );
      expect(got, name).toHaveLength(sizeOf(dims as number[]));
      expect(distance(got, want), `${name} ${dims.join('x')}`).toBeLessThan(1e-5);
    }
    expect(await executor.evaluate(graph, inputs)).toEqual(found);
  },
  120_000,
);
