/**
 * Gradients of one operator call against central differences, in float64 on the reference interpreter. The
 * differences are taken of the call as it stands (its reference kernel), the gradients of what `differentiate`
 * makes of it, so a composite's expansion is compared with its kernel on the way.
 *
 *   f'(x) ≈ (8·(f(x+h) − f(x−h)) − (f(x+2h) − f(x−2h))) / 12h, error O(h⁴)      Abramowitz & Stegun 25.3.6
 *
 * With h = 10⁻³ both the truncation and the rounding error lie near 10⁻¹². Values must lie at least 2h from a kink
 * or a tie: take them from `distinct` (calls.ts) or `awayFrom`.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { differentiate } from '../../src/autodiff/differentiate';
import { isFloat } from '../../src/core/dtype';
import { runGraph } from '../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../src/onnx/builder';
import { attr } from '../../src/onnx/graph';
import type { Graph, ValueInfo } from '../../src/onnx/graph';
import type { Value } from '../../src/ops/define';
import { tensorOf } from '../../src/ops/value';
import { callGraph, randomNumbers, uniform } from './calls';
import type { Argument, Call } from './calls';

export interface GradientCheck {
  /** Indices of the inputs to differentiate; without it all float ones that are not constant. */
  readonly wrt?: readonly number[];
  readonly seed?: number;
  /** Allowed error, relative to the gradient where that is larger than 1. */
  readonly tolerance?: number;
  readonly step?: number;
  /** Indices of the outputs that join the loss; without it all float ones. */
  readonly outputs?: readonly number[];
  /** Elements of each input that are shifted, chosen at random; 48 where absent. */
  readonly elements?: number;
}

type Feeds = Map<string, Value>;

const SCALAR = { dtype: 'float32', dims: [] } as const;

/** The call's outputs, each weighted by random numbers and added up to one `loss`. */
function withLoss(graph: Graph, outputs: readonly ValueInfo[], random: () => number): Graph {
  const builder = GraphBuilder.from(graph, { dropOutputs: true });
  const parts = outputs.map(({ name, dims }) => {
    const projection = tensorOf(uniform(random, dims as number[], 0.2, 1));
    // Signs alternate at random, so that a sum that happens to be constant (Softmax) does not hide anything.
    projection.data.forEach((value, i) => {
      if (random() < 0.5) projection.data[i] = -value;
    });
    const weights = builder.initializer(`projection/${name}`, projection);
    const weighted = builder.node('Mul', [name, weights]);
    return builder.node('ReduceSum', [weighted], { keepdims: attr.int(0) });
  });
  const [first = '', ...rest] = parts;
  const sum = rest.reduce((total, part) => builder.node('Add', [total, part]), first);
  builder.node('Identity', [sum], {}, { outputs: ['loss'] });
  builder.output('loss', 'float32', []);
  return builder.build();
}

function analyticGradients(graph: Graph, feeds: Feeds, wrt: readonly string[]) {
  const learned = differentiate(graph, { numerator: 'loss' }, wrt);
  const outputs: ValueInfo[] = [{ name: 'loss', ...SCALAR }];
  for (const name of learned.gradients.values()) outputs.push({ name, ...SCALAR });
  const results = runGraph({ ...learned.graph, outputs }, feeds);
  const gradients = new Map<string, Value>();
  for (const [name, gradient] of learned.gradients) {
    gradients.set(name, results.get(gradient) as Value);
  }
  return { loss: results.get('loss')?.data[0] ?? NaN, gradients };
}

function expectClose(found: number, expected: number, tolerance: number, what: string): void {
  const error = Math.abs(found - expected);
  const allowed = tolerance * Math.max(1, Math.abs(expected));
  expect(error <= allowed, `${what}: ${found} for ${expected}`).toBe(true);
}

/** Indices of up to `count` elements, each at most once. */
function chosen(size: number, count: number, random: () => number): number[] {
  const all = Array.from({ length: size }, (_, index) => index);
  if (size <= count) return all;
  return Array.from(
    { length: count },
    () => all.splice(Math.floor(random() * all.length), 1)[0] ?? 0,
  );
}

/**
 * Holds `differentiate` to central differences for the given inputs, with a loss over all float outputs. Then asks
 * again for each input alone, and for each output alone: what is not wanted or not used must not change the rest.
 */
export function checkGradients(call: Call, options: GradientCheck = {}): void {
  const { seed = 1, tolerance = 1e-6, step = 1e-3, elements = 48 } = options;
  const random = randomNumbers(seed);
  const { graph, feeds } = callGraph(call);
  const outputs = graph.outputs.filter(
    ({ dtype }, index) => isFloat(dtype) && (options.outputs?.includes(index) ?? true),
  );
  expect(outputs.length, `${call.op} has no float output`).toBeGreaterThan(0);
  const wrt = call.inputs.flatMap((argument, index) =>
    argument && !argument.constant && isFloat(argument.dtype) ? [`x${index}`] : [],
  );
  const wanted = options.wrt?.map((index) => `x${index}`) ?? wrt;

  const alone = outputs.length > 1 ? outputs.map((output) => [output]) : [];
  for (const used of [outputs, ...alone]) {
    const projected = withLoss(graph, used, random);
    const of = `${call.op} (${used.map(({ name }) => name).join(', ')})`;
    const loss = () => runGraph(projected, feeds).get('loss')?.data[0] ?? NaN;
    const analytic = analyticGradients(projected, feeds, wanted);
    expectClose(analytic.loss, loss(), tolerance, `${of}: the loss after expansion`);
    for (const name of wanted) {
      const feed = feeds.get(name) as Value;
      const found = analytic.gradients.get(name) as Value;
      expect(found.dims, `${of} d/d${name}: shape`).toEqual(feed.dims);
      for (const i of chosen(feed.data.length, elements, random)) {
        const old = feed.data[i] as number;
        const at = (shift: number) => {
          feed.data[i] = old + shift;
          return loss();
        };
        const near = at(step) - at(-step);
        const far = at(2 * step) - at(-2 * step);
        feed.data[i] = old;
        const expected = (8 * near - far) / (12 * step);
        expectClose(found.data[i] as number, expected, tolerance, `${of} d/d${name}[${i}]`);
      }
      if (wanted.length > 1) {
        const single = analyticGradients(projected, feeds, [name]).gradients.get(name);
        found.data.forEach((value, i) =>
          expectClose(single?.data[i] ?? NaN, value, 1e-12, `${of} d/d${name}[${i}] alone`),
        );
      }
    }
  }
}

/** Uniform values in [low, high) that keep `margin` away from each kink. */
export function awayFrom(
  random: () => number,
  dims: readonly number[],
  kinks: readonly number[],
  [low, high]: readonly [number, number] = [-2, 2],
  margin = 0.02,
): Argument {
  const argument = uniform(random, dims, low, high);
  argument.data.forEach((value, i) => {
    const kink = kinks.find((each) => Math.abs(value - each) < margin);
    if (kink !== undefined) argument.data[i] = Math.fround(kink + (value < kink ? -1 : 1) * margin);
  });
  return argument;
}

export const seeds = fc.integer({ min: 1, max: 1_000_000 });

/** Small shapes; scalars too where `minRank` is 0. */
export function shapes(minRank = 0, maxRank = 4, longest = 3): fc.Arbitrary<number[]> {
  const length = fc.integer({ min: 1, max: longest });
  return fc.array(length, { minLength: minRank, maxLength: maxRank });
}

/** `count` shapes that broadcast together: axes cut to 1, leading axes dropped. */
export function broadcastShapes(count: number, maxRank = 3): fc.Arbitrary<number[][]> {
  const cut = fc.record({
    ones: fc.array(fc.boolean(), { minLength: maxRank, maxLength: maxRank }),
    drop: fc.integer({ min: 0, max: maxRank }),
  });
  return fc
    .tuple(shapes(0, maxRank), fc.array(cut, { minLength: count, maxLength: count }))
    .map(([dims, cuts]) =>
      cuts.map(({ ones, drop }) => dims.map((dim, axis) => (ones[axis] ? 1 : dim)).slice(drop)),
    );
}

/** A shape with one of its axes, counted from either end. */
export function shapeWithAxis(
  minRank = 1,
  maxRank = 4,
): fc.Arbitrary<{ dims: number[]; axis: number }> {
  return shapes(minRank, maxRank).chain((dims) =>
    fc
      .integer({ min: -dims.length, max: Math.max(dims.length - 1, -dims.length) })
      .map((axis) => ({ dims, axis })),
  );
}

/** A shape with some of its axes (perhaps none), each counted from either end. */
export function shapeWithAxes(
  minRank = 1,
  maxRank = 4,
): fc.Arbitrary<{ dims: number[]; axes: number[] }> {
  return shapes(Math.max(minRank, 1), maxRank).chain((dims) => {
    const axis = fc.integer({ min: 0, max: dims.length - 1 });
    return fc
      .record({
        axes: fc.uniqueArray(axis, { maxLength: dims.length }),
        fromEnd: fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }),
      })
      .map(({ axes, fromEnd }) => ({
        dims,
        axes: axes.map((each) => (fromEnd[each] ? each - dims.length : each)),
      }));
  });
}
