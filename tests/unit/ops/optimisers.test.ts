/** The optimiser node's layout, the loss scale, and Lion; PyTorch's steps are in tests/unit/engine/golden-steps. */
import { describe, expect, it } from 'vitest';
import { readOptimiser } from '../../../src/engine/optimiser';
import { applyUpdate } from '../../../src/engine/wasm/update';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import { optimiserLayout } from '../../../src/ops/optimisers/spec';
import { callGraph, evaluate, given, randomNumbers, uniform } from '../../support/calls';
import type { Argument, Call } from '../../support/calls';

const KINDS = ['SGD', 'Adam', 'AdamW', 'Lion'] as const;
const SIZE = 5;

interface Setting {
  readonly lossScale?: number;
  readonly clip?: number;
  readonly factors?: readonly number[];
}

/** Two weights; with a loss scale the gradients are multiplied by it, as the loss was. */
function callOf(op: (typeof KINDS)[number], { lossScale, clip = 0, factors }: Setting): Call {
  const random = randomNumbers(8);
  const scalar = (value: number) => given('float32', [], [Math.fround(value)]);
  const weights = [0, 1].flatMap((): Argument[] => {
    const [w, g, m] = [0, 1, 2].map(() => uniform(random, [SIZE])) as [
      Argument,
      Argument,
      Argument,
    ];
    const scaled = { ...g, data: g.data.map((value) => value * (lossScale ?? 1)) };
    const v = uniform(random, [SIZE], 0, 1);
    return op === 'SGD' || op === 'Lion' ? [w, scaled, m] : [w, scaled, m, v];
  });
  const scales = lossScale === undefined ? [] : [scalar(lossScale)];
  const last = factors === undefined ? [] : [given('float32', [2], factors)];
  return {
    op,
    domain: TRAINING_DOMAIN,
    inputs: [scalar(0.1), scalar(3), scalar(clip), ...scales, ...weights, ...last],
    attributes: {
      momentum: attr.float(0.5),
      beta1: attr.float(0.75),
      beta2: attr.float(0.5),
      weight_decay: attr.float(0.25),
      decay_mask: attr.ints([1, 0]),
      ...(lossScale === undefined ? {} : { loss_scaled: attr.int(1) }),
    },
    outputs: (op === 'SGD' || op === 'Lion' ? 4 : 6) + 2,
  };
}

describe.each(KINDS)('%s', (op) => {
  it('gives the same step with its loss scaled by a power of 2', () => {
    for (const rest of [{}, { clip: 0.5 }, { factors: [0, 0.5] }]) {
      const plain = evaluate(callOf(op, rest));
      const scaled = evaluate(callOf(op, { ...rest, lossScale: 1024 }));
      scaled.forEach((value, index) => expect(value.data).toEqual(plain[index]?.data));
    }
  });

  it('changes nothing where a scaled gradient overflowed', () => {
    const call = callOf(op, { lossScale: 8 });
    const gradient = call.inputs[5];
    gradient?.data.fill(Infinity, 2, 3);
    const outputs = evaluate(call);
    expect(outputs.at(-2)?.data[0]).toBe(Infinity);
    expect(outputs[0]?.data).toEqual(call.inputs[4]?.data);
    expect(outputs[1]?.data).toEqual(call.inputs[6]?.data);
  });

  it('is read for executors, and updated in place as the reference says', () => {
    const call = callOf(op, { lossScale: 16, clip: 0.5, factors: [1, 0.5] });
    const { graph } = callGraph(call);
    const [node] = graph.nodes;
    if (!node) throw new Error('The graph is empty.');
    const layout = optimiserLayout(node);
    expect(layout).toEqual({ header: 4, count: 2, lossScaled: true, factors: true });
    const plan = readOptimiser(node);
    expect([plan.lossScale, plan.factors]).toEqual(['x3', `x${call.inputs.length - 1}`]);
    expect(plan.weights.map(({ decays }) => decays)).toEqual(
      op === 'AdamW' || op === 'Lion' ? [true, false] : [false, false],
    );
    const arrays = new Map(
      call.inputs.map((argument, index) => [`x${index}`, Float32Array.from(argument?.data ?? [])]),
    );
    const array = (name: string) => arrays.get(name) ?? new Float32Array(0);
    const norm = applyUpdate(
      plan,
      plan.weights.map(({ gradient }) => array(gradient)),
      array,
      { learningRate: Math.fround(0.1), step: 3, clipNorm: 0.5, lossScale: 16, factors: [1, 0.5] },
    );
    const expected = evaluate(call);
    expect(norm).toBeCloseTo(expected.at(-2)?.data[0] ?? NaN, 5);
    const found = plan.weights.flatMap(({ weight, moments }) => [weight, ...moments].map(array));
    found.forEach((values, index) =>
      values.forEach((value, i) =>
        expect(value, `${index}[${i}]`).toBeCloseTo(expected[index]?.data[i] ?? NaN, 6),
      ),
    );
  });
});

it('Lion moves every weight by one step of the rate, against the sign of its direction', () => {
  const call = callOf('Lion', {});
  const [w, g, m] = call.inputs.slice(3, 6).map((argument) => argument?.data ?? []);
  const [after, moment] = evaluate(call);
  for (let i = 0; i < SIZE; i++) {
    const [old = 0, gradient = 0, before = 0] = [w?.[i], g?.[i], m?.[i]];
    const direction = 0.75 * before + 0.25 * gradient > 0 ? 1 : -1;
    const rate = Math.fround(0.1);
    expect(after?.data[i]).toBeCloseTo(old - rate * (direction + 0.25 * old), 12);
    expect(moment?.data[i]).toBeCloseTo(0.5 * before + 0.5 * gradient, 12);
  }
});

it('a header or a moment of another shape is refused', () => {
  const call = callOf('Lion', { lossScale: 2 });
  const wrong = (index: number) => ({
    ...call,
    inputs: call.inputs.map((each, at) => (at === index ? given('float32', [2], [1, 1]) : each)),
  });
  for (const port of [3, 5, 6]) {
    expect(() => callGraph(wrong(port))).toThrow(
      expect.objectContaining({
        code: 'onnx/shape',
        message: expect.stringContaining(`input ${port}`) as string,
      }),
    );
  }
  expect(() => callGraph({ ...call, inputs: call.inputs.slice(0, -1) })).toThrow(/the inputs/);
});
