/** Operators on pictures: the reference kernel says what onnxruntime says, and the expansion says what the kernel says. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { expandOps } from '../../../src/ops/expand-graph';
import { inferShapes } from '../../../src/ops/infer-shapes';
import {
  callGraph,
  evaluate,
  expectInferredShapes,
  given,
  ints,
  randomNumbers,
  tensorFeeds,
  uniform,
} from '../../support/calls';
import type { Call } from '../../support/calls';
import { seeds } from '../../support/gradient-check';
import { runOnnxRuntime } from '../../support/onnxruntime';
import { windowArbitrary, windowCall } from '../../support/windows';

/** Kernel and expansion in float64. */
function expectExpansion(call: Call): void {
  const { graph, feeds } = callGraph(call);
  const expanded = expandOps(graph, ({ domain }) => domain === TRAINING_DOMAIN);
  expect(expanded.nodes.some(({ op }) => op === call.op)).toBe(false);
  const found = runGraph(expanded, feeds);
  for (const [name, { dims, data }] of runGraph(graph, feeds)) {
    const other = found.get(name);
    expect(other?.dims, `${call.op} ${name}`).toEqual(dims);
    // Weights of an expansion are float32.
    data.forEach((x, i) => {
      const error = Math.abs((other?.data[i] ?? NaN) - x);
      expect(error, `${call.op} ${name}[${i}]`).toBeLessThan(1e-5 * Math.max(1, Math.abs(x)));
    });
  }
}

async function expectSame(call: Call, expansion = true): Promise<void> {
  expectInferredShapes(call);
  if (expansion) expectExpansion(call);
  const { graph, feeds } = callGraph(call);
  const found = await runOnnxRuntime(graph, tensorFeeds(feeds), 'disabled');
  for (const [name, { dims, data }] of runGraph(graph, feeds)) {
    const other = found.get(name);
    expect(other?.dims, `${call.op} ${name}`).toEqual(dims);
    data.forEach((x, i) => {
      const y = other?.data[i] ?? NaN;
      expect(Math.abs(y - x), `${call.op} ${name}[${i}]: ${x} for ${y}`).toBeLessThan(
        3e-5 * Math.max(1, Math.abs(x)),
      );
    });
  }
}

const text = (values: Readonly<Record<string, string>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.string(value)]));
const omitted = undefined;

describe('windows', () => {
  it.each(['ConvTranspose', 'LpPool'] as const)('%s over random windows', (op) =>
    fc.assert(
      fc.asyncProperty(windowArbitrary, (window) => expectSame(windowCall(op, window))),
      { numRuns: 25 },
    ),
  );

  it.each([0, 1])('MaxPool with indices, storage order %i, in one to three axes', async (order) => {
    for (const space of [[7], [5, 6], [4, 5, 3]]) {
      const attributes = {
        kernel_shape: attr.ints(space.map(() => 2)),
        strides: attr.ints(space.map(() => 2)),
        storage_order: attr.int(order),
      };
      const x = uniform(randomNumbers(order + space.length), [2, 2, ...space]);
      await expectSame({ op: 'MaxPool', inputs: [x], attributes, outputs: 2 }, false);
    }
  });

  it.each(['NOTSET', 'SAME_UPPER', 'SAME_LOWER'])('ConvTranspose of a wanted shape, %s', (mode) => {
    const random = randomNumbers(3);
    const inputs = [uniform(random, [1, 2, 3, 4]), uniform(random, [2, 3, 3, 2])];
    const attributes = {
      ...text({ auto_pad: mode }),
      strides: attr.ints([2, 3]),
      output_shape: attr.ints([6, 11]),
    };
    return expectSame({ op: 'ConvTranspose', inputs, attributes });
  });

  it('MaxUnpool puts back what MaxPool took', async () => {
    const x = uniform(randomNumbers(1), [2, 3, 4, 6]);
    const attributes = { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) };
    const [y, at] = evaluate({ op: 'MaxPool', inputs: [x], attributes, outputs: 2 });
    if (!y || !at) throw new Error('MaxPool gave nothing.');
    const pooled = given('float32', y.dims, [...y.data]);
    const indices = given('int64', at.dims, [...at.data], true);
    await expectSame({ op: 'MaxUnpool', inputs: [pooled, indices], attributes });
    const shape = ints([2, 3, 5, 7]);
    expectExpansion({ op: 'MaxUnpool', inputs: [pooled, indices, shape], attributes });
  });

  it.each(['GlobalMaxPool', 'GlobalLpPool', 'GlobalAveragePool'])('%s', async (op) => {
    for (const space of [[5], [3, 4], [2, 3, 2]]) {
      const call = { op, inputs: [uniform(randomNumbers(2), [2, 3, ...space])] };
      await expectSame(call, op !== 'GlobalAveragePool');
    }
  });
});

describe('Resize', () => {
  const MODES = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'];
  const lengths = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));

  it.each(['linear', 'cubic'])('%s to random sizes', (mode) =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          size: lengths,
          transform: fc.constantFrom(...MODES),
          exclude: fc.boolean(),
          seed: seeds,
        }),
        ({ size, transform, exclude, seed }) => {
          const x = uniform(randomNumbers(seed), [1, 2, 5, 4]);
          const attributes = {
            ...text({ mode, coordinate_transformation_mode: transform }),
            exclude_outside: attr.int(mode === 'cubic' && exclude ? 1 : 0),
          };
          const inputs = [x, omitted, omitted, ints([1, 2, ...size])];
          return expectSame({ op: 'Resize', inputs, attributes });
        },
      ),
      { numRuns: 25 },
    ),
  );

  it.each(['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'])('nearest, %s', (rounding) =>
    fc.assert(
      fc.asyncProperty(lengths, fc.constantFrom(...MODES), async (size, transform) => {
        const attributes = text({
          mode: 'nearest',
          nearest_mode: rounding,
          coordinate_transformation_mode: transform,
        });
        const x = uniform(randomNumbers(4), [2, 1, 4, 6]);
        const inputs = [x, omitted, omitted, ints([2, 1, ...size])];
        await expectSame({ op: 'Resize', inputs, attributes });
      }),
      { numRuns: 15 },
    ),
  );

  it('crops, keeps the aspect ratio, takes chosen axes and volumes', () => {
    const x = uniform(randomNumbers(5), [2, 5, 4, 3]);
    const roi = given('float32', [4], [0.2, -0.5, 0.8, 1.3], true);
    const sizes = ints([4, 6]);
    const axes = { axes: attr.ints([1, -1]) };
    for (const mode of ['nearest', 'linear', 'cubic']) {
      const crop = text({ mode, coordinate_transformation_mode: 'tf_crop_and_resize' });
      const attributes = { ...crop, ...axes, extrapolation_value: attr.float(2.5) };
      expectExpansion({ op: 'Resize', inputs: [x, roi, omitted, sizes], attributes });
      for (const policy of ['not_larger', 'not_smaller']) {
        const kept = { ...text({ mode, keep_aspect_ratio_policy: policy }), ...axes };
        const call = { op: 'Resize', inputs: [x, omitted, omitted, sizes], attributes: kept };
        expectInferredShapes(call);
        expectExpansion(call);
      }
    }
    const antialias = { ...text({ mode: 'cubic' }), antialias: attr.int(1) };
    const scales = given('float32', [4], [1, 0.5, 0.7, 1.6], true);
    expectExpansion({ op: 'Resize', inputs: [x, omitted, scales], attributes: antialias });
  });

  it('lets symbolic lengths pass where nothing is scaled', () => {
    const builder = new GraphBuilder('symbolic');
    const x = builder.input('x', 'float32', ['batch', 3, 'height', 8]);
    const scales = builder.constant('float32', [4], [1, 1, 2, 2]);
    const y = builder.node('Resize', [x, '', scales], {}, { name: 'up' });
    const types = inferShapes(builder.build());
    expect(types.get(y)?.dims).toEqual(['batch', 3, '2*height', 16]);
  });
});

describe('symbolic lengths', () => {
  it('ConvTranspose and its like scale them', () => {
    const builder = new GraphBuilder('symbolic');
    const x = builder.input('x', 'float32', ['batch', 4, 'height', 'width']);
    const w = builder.input('w', 'float32', [4, 2, 3, 3]);
    const attributes = { strides: attr.ints([2, 2]), group: attr.int(2) };
    const pads = { ...attributes, pads: attr.ints([1, 1, 1, 1]) };
    const up = builder.node('ConvTranspose', [x, w], pads);
    const same = { ...attributes, auto_pad: attr.string('SAME_UPPER') };
    const wide = builder.node('ConvTranspose', [x, w], same);
    const down = builder.node('MaxPool', [wide], {
      kernel_shape: attr.ints([2, 2]),
      strides: attr.ints([2, 2]),
    });
    const types = inferShapes(builder.build());
    expect(types.get(up)?.dims).toEqual(['batch', 4, '2*height - 1', '2*width - 1']);
    expect(types.get(wide)?.dims).toEqual(['batch', 4, '2*height', '2*width']);
    expect(types.get(down)?.dims).toEqual(['batch', 4, 'height', 'width']);
  });
});

describe('sampling and blocks', () => {
  it.each(['nearest', 'linear', 'cubic'])('GridSample, %s', async (mode) => {
    const random = randomNumbers(6);
    for (const padding of ['zeros', 'border', 'reflection']) {
      for (const align of [0, 1]) {
        const attributes = {
          ...text({ mode, padding_mode: padding }),
          align_corners: attr.int(align),
        };
        const inputs = [uniform(random, [2, 3, 4, 5]), uniform(random, [2, 3, 4, 2], -1.7, 1.7)];
        await expectSame({ op: 'GridSample', inputs, attributes });
        if (mode === 'cubic') continue;
        const volume = [uniform(random, [1, 2, 3, 4, 2]), uniform(random, [1, 2, 2, 3, 3], -2, 2)];
        await expectSame({ op: 'GridSample', inputs: volume, attributes });
      }
    }
  });

  it('AffineGrid of pictures and volumes', async () => {
    const random = randomNumbers(7);
    for (const align of [0, 1]) {
      const attributes = { align_corners: attr.int(align) };
      for (const size of [
        [2, 1, 3, 4],
        [2, 1, 3, 4, 2],
      ]) {
        const theta = uniform(random, [2, size.length - 2, size.length - 1]);
        await expectSame({ op: 'AffineGrid', inputs: [theta, ints(size)], attributes });
      }
    }
  });

  it('Col2Im with strides, dilations and padding', async () => {
    const inputs = [uniform(randomNumbers(8), [2, 12, 4]), ints([5, 6]), ints([2, 3])];
    const attributes = {
      strides: attr.ints([2, 3]),
      dilations: attr.ints([2, 1]),
      pads: attr.ints([0, 0, 1, 0]),
    };
    await expectSame({ op: 'Col2Im', inputs, attributes });
  });

  it('DepthToSpace, SpaceToDepth, CenterCropPad', async () => {
    const random = randomNumbers(9);
    const blocksize = attr.int(2);
    for (const mode of ['DCR', 'CRD']) {
      const x = uniform(random, [2, 8, 2, 3]);
      const attributes = { ...text({ mode }), blocksize };
      await expectSame({ op: 'DepthToSpace', inputs: [x], attributes });
    }
    const picture = uniform(random, [2, 2, 4, 6]);
    await expectSame({ op: 'SpaceToDepth', inputs: [picture], attributes: { blocksize } });
    const axes = { axes: attr.ints([-1, 2]) };
    await expectSame({ op: 'CenterCropPad', inputs: [picture, ints([3, 9])], attributes: axes });
    await expectSame({ op: 'CenterCropPad', inputs: [picture, ints([3, 2, 1, 6])] });
  });

  it.each(['avg', 'max'])('RoiAlign, %s', async (mode) => {
    const x = uniform(randomNumbers(10), [2, 3, 6, 7], 0, 1);
    const rois = given('float32', [3, 4], [0, 0, 5, 4, 1.2, 0.4, 3, 5.5, -1, 2, 9, 9]);
    const pictures = given('int64', [3], [0, 1, 1]);
    for (const transform of ['half_pixel', 'output_half_pixel']) {
      for (const ratio of [0, 2]) {
        const attributes = {
          ...text({ mode, coordinate_transformation_mode: transform }),
          output_height: attr.int(3),
          output_width: attr.int(2),
          sampling_ratio: attr.int(ratio),
          spatial_scale: attr.float(0.75),
        };
        await expectSame({ op: 'RoiAlign', inputs: [x, rois, pictures], attributes }, false);
      }
    }
  });
});
