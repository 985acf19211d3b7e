/** Operators that read, write, choose and cut by position: against onnxruntime and central differences. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import { runGraph } from '../../../src/engine/reference/run-graph';
import {
  distinct,
  evaluate,
  given,
  gradientGraph,
  ints,
  randomNumbers,
  uniform,
} from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { checkGradients, seeds, shapeWithAxis, shapes } from '../../support/gradient-check';
import {
  expectAsExpanded,
  expectAsOnnxRuntime,
  expectGraphAsOnnxRuntime,
} from '../../support/oracle';

type Random = () => number;
const below = (random: Random, count: number) => Math.floor(random() * count);
/** Positions of an axis, some of them counted from its end. */
const position = (random: Random, length: number) =>
  below(random, length) - (random() < 0.4 ? length : 0);

function indices(random: Random, dims: readonly number[], length: number): Argument {
  const values = Array.from({ length: sizeOf(dims) }, () => position(random, length));
  return given('int64', dims, values);
}

/** Both oracles. */
async function check(call: Call, gradients = true): Promise<void> {
  await expectAsOnnxRuntime(call);
  if (gradients) checkGradients(call, { elements: 8 });
}

const axisCase = fc.record({ shape: shapeWithAxis(1, 3), picks: shapes(0, 2), seed: seeds });
const runs = { numRuns: 25 };

describe('gathering', () => {
  it('Gather', () =>
    fc.assert(
      fc.asyncProperty(axisCase, ({ shape: { dims, axis }, picks, seed }) => {
        const random = randomNumbers(seed);
        const length = dims.at(axis) ?? 1;
        return check({
          op: 'Gather',
          inputs: [uniform(random, dims), indices(random, picks, length)],
          attributes: { axis: attr.int(axis) },
        });
      }),
      runs,
    ));

  it('GatherElements', () =>
    fc.assert(
      fc.asyncProperty(axisCase, fc.integer({ min: 1, max: 4 }), (each, count) => {
        const { dims, axis } = each.shape;
        const random = randomNumbers(each.seed);
        const at = axis < 0 ? axis + dims.length : axis;
        const picked = dims.map((dim, index) => (index === at ? count : 1 + below(random, dim)));
        return check({
          op: 'GatherElements',
          inputs: [uniform(random, dims), indices(random, picked, dims[at] ?? 1)],
          attributes: { axis: attr.int(axis) },
        });
      }),
      runs,
    ));

  it('GatherND with batches', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          dims: shapes(2, 4),
          batch: fc.integer({ min: 0, max: 1 }),
          width: fc.integer({ min: 1, max: 2 }),
          count: fc.integer({ min: 1, max: 3 }),
          seed: seeds,
        }),
        ({ dims, batch, width: wanted, count, seed }) => {
          const random = randomNumbers(seed);
          const width = Math.min(wanted, dims.length - batch);
          const lead = [...dims.slice(0, batch), count];
          const values = Array.from({ length: sizeOf(lead) }, () =>
            Array.from({ length: width }, (_, at) => position(random, dims[batch + at] ?? 1)),
          ).flat();
          return check({
            op: 'GatherND',
            inputs: [uniform(random, dims), given('int64', [...lead, width], values)],
            attributes: { batch_dims: attr.int(batch) },
          });
        },
      ),
      runs,
    ));

  it('OneHot', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          dims: shapes(1, 2),
          last: fc.boolean(),
          depth: fc.integer({ min: 1, max: 4 }),
          seed: seeds,
        }),
        ({ dims, last, depth, seed }) => {
          const random = randomNumbers(seed);
          const values = Array.from(
            { length: sizeOf(dims) },
            () => below(random, 2 * depth) - depth,
          );
          return check({
            op: 'OneHot',
            inputs: [given('int64', dims, values), ints([depth]), uniform(random, [2])],
            attributes: { axis: attr.int(last ? -1 : 0) },
          });
        },
      ),
      runs,
    ));
});

describe('scattering', () => {
  const reductions = fc.constantFrom('none', 'add', 'mul', 'max', 'min');

  it('ScatterElements', () =>
    fc.assert(
      fc.asyncProperty(axisCase, reductions, async (each, reduction) => {
        const { dims, axis } = each.shape;
        const random = randomNumbers(each.seed);
        const at = axis < 0 ? axis + dims.length : axis;
        const length = dims[at] ?? 1;
        // Without a reduction the standard wants every place named once.
        const order = Array.from({ length }, (_, place) => place).sort(() => random() - 0.5);
        const count = 1 + below(random, length);
        const wide = dims.map((dim, index) => (index === at ? count : dim));
        const inner = sizeOf(dims.slice(at + 1));
        const places =
          reduction === 'none'
            ? given(
                'int64',
                wide,
                Array.from(
                  { length: sizeOf(wide) },
                  (_, i) => order[Math.floor(i / inner) % count] ?? 0,
                ),
              )
            : indices(random, wide, length);
        await check({
          op: 'ScatterElements',
          inputs: [
            reduction === 'mul' ? uniform(random, dims, 0.5, 2) : distinct(random, dims),
            places,
            reduction === 'mul' ? uniform(random, wide, 0.5, 2) : distinct(random, wide, 0.0925),
          ],
          attributes: { axis: attr.int(axis), reduction: attr.string(reduction) },
        });
      }),
      { numRuns: 50 },
    ));

  it('ScatterND', () =>
    fc.assert(
      fc.asyncProperty(shapes(1, 3), reductions, seeds, async (dims, reduction, seed) => {
        const random = randomNumbers(seed);
        const width = 1 + below(random, dims.length);
        const addressed = dims.slice(0, width);
        const all = sizeOf(addressed);
        const order = Array.from({ length: all }, (_, place) => place).sort(() => random() - 0.5);
        const count = reduction === 'none' ? 1 + below(random, all) : 1 + below(random, 4);
        const tuples = Array.from({ length: count }, (_, n) => {
          let rest = reduction === 'none' ? (order[n] ?? 0) : below(random, all);
          const tuple = new Array<number>(width);
          for (let axis = width - 1; axis >= 0; axis--) {
            const length = addressed[axis] ?? 1;
            tuple[axis] = (rest % length) - (random() < 0.4 ? length : 0);
            rest = Math.floor(rest / length);
          }
          return tuple;
        });
        const updated = [count, ...dims.slice(width)];
        await check({
          op: 'ScatterND',
          inputs: [
            reduction === 'mul' ? uniform(random, dims, 0.5, 2) : distinct(random, dims),
            given('int64', [count, width], tuples.flat()),
            reduction === 'mul'
              ? uniform(random, updated, 0.5, 2)
              : distinct(random, updated, 0.0925),
          ],
          attributes: { reduction: attr.string(reduction) },
        });
      }),
      { numRuns: 50 },
    ));

  it('shares the gradient of a maximum among those that reach it', () => {
    const call = (update: number): Call => ({
      op: 'ScatterElements',
      inputs: [
        given('float32', [2], [3, 1]),
        given('int64', [2], [0, 0], true),
        given('float32', [2], [update, update]),
      ],
      attributes: { reduction: attr.string('max') },
    });
    checkGradients(call(2));
    const gradientsOf = (update: number) => {
      const learned = gradientGraph(call(update), randomNumbers(1), ['x0', 'x2']);
      const values = runGraph(learned.graph, learned.feeds);
      const [data, updates] = ['x0', 'x2'].map(
        (name) => values.get(learned.gradients.get(name) ?? '')?.data ?? [],
      );
      return { data: data?.[0] ?? NaN, updates: Array.from(updates ?? []) };
    };
    const { data: alone } = gradientsOf(2);
    // Two updates above the data, then two and the data itself.
    const above = gradientsOf(5);
    expect(above.data).toBe(0);
    for (const each of above.updates) expect(each).toBeCloseTo(alone / 2, 12);
    const level = gradientsOf(3);
    for (const each of [level.data, ...level.updates]) expect(each).toBeCloseTo(alone / 3, 12);
  });

  it('names a place that is not there', () => {
    const call: Call = {
      op: 'Gather',
      inputs: [given('float32', [2], [1, 2]), given('int64', [1], [2])],
    };
    expect(() => evaluate(call)).toThrow(/position 2 of an axis of length 2/);
  });
});

describe('choosing and ordering', () => {
  it('TopK', () =>
    fc.assert(
      fc.asyncProperty(axisCase, fc.boolean(), async ({ shape: { dims, axis }, seed }, largest) => {
        const random = randomNumbers(seed);
        const k = 1 + below(random, dims.at(axis) ?? 1);
        const attributes = { axis: attr.int(axis), largest: attr.int(largest ? 1 : 0) };
        const inputs = [distinct(random, dims), ints([k])];
        await check({ op: 'TopK', inputs, attributes, outputs: 2 });
        const tied = given(
          'float32',
          dims,
          Array.from({ length: sizeOf(dims) }, () => below(random, 2)),
        );
        await check({ op: 'TopK', inputs: [tied, ints([k])], attributes, outputs: 2 }, false);
      }),
      runs,
    ));

  it('TopK takes NaN for the largest', () => {
    const x = given('float32', [4], [1, NaN, 3, -Infinity]);
    const [, places] = evaluate({ op: 'TopK', inputs: [x, ints([4])], outputs: 2 });
    expect(Array.from(places?.data ?? [])).toEqual([1, 2, 0, 3]);
  });

  it('NonZero and Compress', () =>
    fc.assert(
      fc.asyncProperty(shapes(1, 3), seeds, async (dims, seed) => {
        const random = randomNumbers(seed);
        const length = dims[0] ?? 1;
        const flags = Array.from({ length }, () => below(random, 2));
        const compress: Call = {
          op: 'Compress',
          inputs: [uniform(random, dims), given('bool', [length], flags, true)],
          attributes: { axis: attr.int(0) },
        };
        expectAsExpanded(compress);
        await check(compress);
        const flat: Call = { ...compress, attributes: {} };
        await expectAsOnnxRuntime(flat);
        expectAsExpanded(flat);

        const builder = new GraphBuilder('open');
        const x = builder.input('x', 'int32', dims);
        builder.output(builder.node('NonZero', [x]), 'int64', [dims.length, 'found']);
        const values = given(
          'int32',
          dims,
          Array.from({ length: sizeOf(dims) }, () => below(random, 2)),
        );
        await expectGraphAsOnnxRuntime(builder.build(), new Map([['x', values]]));
      }),
      { numRuns: 15 },
    ));

  it('CumSum', () =>
    fc.assert(
      fc.asyncProperty(
        axisCase,
        fc.boolean(),
        fc.boolean(),
        ({ shape: { dims, axis }, seed }, exclusive, reverse) =>
          check({
            op: 'CumSum',
            inputs: [uniform(randomNumbers(seed), dims), given('int64', [], [axis], true)],
            attributes: {
              exclusive: attr.int(exclusive ? 1 : 0),
              reverse: attr.int(reverse ? 1 : 0),
            },
          }),
      ),
      runs,
    ));

  it('Trilu', () =>
    fc.assert(
      fc.asyncProperty(
        shapes(2, 3),
        fc.integer({ min: -3, max: 3 }),
        fc.boolean(),
        (dims, k, upper) =>
          check({
            op: 'Trilu',
            inputs: [uniform(randomNumbers(k + 9), dims), given('int64', [], [k])],
            attributes: { upper: attr.int(upper ? 1 : 0) },
          }),
      ),
      runs,
    ));

  it('ReverseSequence', () =>
    fc.assert(
      fc.asyncProperty(shapes(2, 3, 4), fc.boolean(), seeds, (dims, timeFirst, seed) => {
        const random = randomNumbers(seed);
        const [time, batch] = timeFirst ? [0, 1] : [1, 0];
        const lengths = Array.from(
          { length: dims[batch] ?? 1 },
          () => 1 + below(random, dims[time] ?? 1),
        );
        return check({
          op: 'ReverseSequence',
          inputs: [uniform(random, dims), given('int64', [lengths.length], lengths)],
          attributes: { time_axis: attr.int(time), batch_axis: attr.int(batch) },
        });
      }),
      runs,
    ));

  it('NonMaxSuppression', () =>
    fc.assert(
      fc.asyncProperty(seeds, fc.boolean(), async (seed, centred) => {
        const random = randomNumbers(seed);
        const boxes = uniform(random, [2, 6, 4], 0.1, 1);
        const scores = distinct(random, [2, 2, 6]);
        const builder = new GraphBuilder('boxes');
        const inputs = [
          builder.input('boxes', 'float32', boxes.dims),
          builder.input('scores', 'float32', scores.dims),
          builder.ints([1 + below(random, 4)]),
          builder.constant('float32', [1], [random()]),
          builder.constant('float32', [1], [-0.5]),
        ];
        const chosen = builder.node('NonMaxSuppression', inputs, {
          center_point_box: attr.int(centred ? 1 : 0),
        });
        builder.output(chosen, 'int64', ['chosen', 3]);
        const feeds = new Map(Object.entries({ boxes, scores }));
        await expectGraphAsOnnxRuntime(builder.build(), feeds);
      }),
      runs,
    ));
});
