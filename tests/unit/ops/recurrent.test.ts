/** RNN, GRU and LSTM against onnxruntime and against their own expansion, over all their settings. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attr } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { callGraph, given, randomNumbers, uniform } from '../../support/calls';
import type { Argument, Call } from '../../support/calls';
import { checkGradients } from '../../support/gradient-check';
import { expanded, expectAsExpanded, expectAsOnnxRuntime } from '../../support/oracle';

const GATES = { RNN: 1, GRU: 3, LSTM: 4 } as const;
type Op = keyof typeof GATES;

const PLAIN = ['Relu', 'Tanh', 'Sigmoid', 'Softsign', 'Softplus'];
/** With the numbers that they take. */
const WITH_ALPHA = ['LeakyRelu', 'Elu', 'ThresholdedRelu'];
const WITH_BOTH = ['Affine', 'ScaledTanh', 'HardSigmoid'];

interface Settings {
  readonly op: Op;
  readonly time: number;
  readonly batch: number;
  readonly inputs: number;
  readonly hidden: number;
  readonly direction: string;
  readonly bias: boolean;
  readonly lengths: boolean;
  readonly initial: boolean;
  readonly peepholes: boolean;
  readonly clip: number | null;
  readonly linearBeforeReset: boolean;
  readonly activations: readonly string[] | null;
  readonly seed: number;
}

const settingsArbitrary = (op: Op): fc.Arbitrary<Settings> =>
  fc.record({
    op: fc.constant(op),
    time: fc.integer({ min: 1, max: 4 }),
    batch: fc.integer({ min: 1, max: 3 }),
    inputs: fc.integer({ min: 1, max: 3 }),
    hidden: fc.integer({ min: 1, max: 3 }),
    direction: fc.constantFrom('forward', 'reverse', 'bidirectional'),
    bias: fc.boolean(),
    lengths: fc.boolean(),
    initial: fc.boolean(),
    peepholes: fc.boolean(),
    clip: fc.constantFrom(null, 0.5, 2),
    linearBeforeReset: fc.boolean(),
    activations: fc.oneof(
      fc.constant(null),
      fc.array(fc.constantFrom(...PLAIN, ...WITH_ALPHA, ...WITH_BOTH), {
        minLength: 3,
        maxLength: 3,
      }),
    ),
    seed: fc.integer({ min: 1, max: 1_000_000 }),
  });

function callOf(settings: Settings, layout = 0): Call {
  const { op, time, batch, inputs, hidden, direction, seed } = settings;
  const random = randomNumbers(seed);
  const both = direction === 'bidirectional' ? 2 : 1;
  const rows = GATES[op] * hidden;
  const some = (wanted: boolean, dims: readonly number[]) =>
    wanted ? uniform(random, dims) : undefined;
  const state = layout === 0 ? [both, batch, hidden] : [batch, both, hidden];
  const lengths = given(
    'int32',
    [batch],
    Array.from({ length: batch }, () => Math.floor(random() * (time + 1))),
  );
  const attributes: Record<string, Attribute> = {
    hidden_size: attr.int(hidden),
    direction: attr.string(direction),
  };
  if (layout === 1) attributes['layout'] = attr.int(1);
  if (settings.clip !== null) attributes['clip'] = attr.float(settings.clip);
  if (op === 'GRU' && settings.linearBeforeReset) attributes['linear_before_reset'] = attr.int(1);
  if (settings.activations) {
    const count = { RNN: 1, GRU: 2, LSTM: 3 }[op];
    const names = settings.activations.slice(0, count);
    const all = both === 1 ? names : [...names, ...names];
    attributes['activations'] = attr.strings(all);
    // A number for each that takes one, in their order.
    const takes = (kinds: readonly string[]) => all.filter((name) => kinds.includes(name));
    const numbers = (names: readonly string[], low: number) =>
      attr.floats(names.map((_, index) => low + 0.0625 * index));
    attributes['activation_alpha'] = numbers(takes([...WITH_ALPHA, ...WITH_BOTH]), 0.25);
    attributes['activation_beta'] = numbers(takes(WITH_BOTH), 0.5);
  }
  const lstm = op === 'LSTM';
  const args: (Argument | undefined)[] = [
    uniform(random, layout === 0 ? [time, batch, inputs] : [batch, time, inputs]),
    uniform(random, [both, rows, inputs]),
    uniform(random, [both, rows, hidden]),
    some(settings.bias, [both, 2 * rows]),
    settings.lengths ? lengths : undefined,
    some(settings.initial, state),
    ...(lstm ? [some(settings.initial, state), some(settings.peepholes, [both, 3 * hidden])] : []),
  ];
  while (args.at(-1) === undefined) args.pop();
  return { op, inputs: args, attributes, outputs: lstm ? 3 : 2 };
}

const OPS: readonly Op[] = ['RNN', 'GRU', 'LSTM'];

describe.each(OPS)('%s', (op) => {
  it('as onnxruntime', () =>
    fc.assert(
      fc.asyncProperty(settingsArbitrary(op), (settings) =>
        expectAsOnnxRuntime(callOf(settings), 1e-4),
      ),
      { numRuns: 60 },
    ));

  it('as its expansion, in both layouts', () => {
    fc.assert(
      fc.property(settingsArbitrary(op), fc.integer({ min: 0, max: 1 }), (settings, layout) =>
        expectAsExpanded(callOf(settings, layout), 1e-9),
      ),
      { numRuns: 60 },
    );
  });

  it('gradients, with smooth activations', () => {
    fc.assert(
      fc.property(settingsArbitrary(op), fc.integer({ min: 0, max: 1 }), (settings, layout) => {
        const smooth = { ...settings, clip: null, activations: null };
        checkGradients(callOf(smooth, layout), { elements: 6 });
      }),
      { numRuns: 8 },
    );
  });
});

it('batch first is the same layer seen otherwise', () => {
  fc.assert(
    fc.property(settingsArbitrary('LSTM'), (settings) => {
      const timeFirst = callOf({ ...settings, initial: false });
      const batchFirst = callOf({ ...settings, initial: false }, 1);
      const { time, batch, inputs } = settings;
      const [x, ...rest] = timeFirst.inputs;
      const turned = new Float64Array(x?.data.length ?? 0);
      turned.forEach((_, i) => {
        const [n, t, k] = [
          Math.floor(i / (time * inputs)),
          Math.floor(i / inputs) % time,
          i % inputs,
        ];
        turned[i] = x?.data[(t * batch + n) * inputs + k] ?? NaN;
      });
      const swapped: Call = {
        ...batchFirst,
        inputs: [{ dtype: 'float32', dims: [batch, time, inputs], data: turned }, ...rest],
      };
      const sum = (call: Call) => {
        const { graph, feeds } = callGraph(call);
        return [...runGraph(graph, feeds).values()].map(({ data }) =>
          data.reduce((a, b) => a + b, 0),
        );
      };
      const [a, b] = [sum(timeFirst), sum(swapped)];
      a.forEach((value, index) => expect(value).toBeCloseTo(b[index] ?? NaN, 10));
    }),
    { numRuns: 20 },
  );
});

it('input_forget couples the two gates', () => {
  const call = callOf({
    op: 'LSTM',
    time: 3,
    batch: 2,
    inputs: 2,
    hidden: 2,
    direction: 'forward',
    bias: true,
    lengths: false,
    initial: true,
    peepholes: true,
    clip: null,
    linearBeforeReset: false,
    activations: null,
    seed: 4,
  });
  const coupled: Call = { ...call, attributes: { ...call.attributes, input_forget: attr.int(1) } };
  expectAsExpanded(coupled);
  const plain: Call = { ...coupled, inputs: coupled.inputs.slice(0, 7) };
  expectAsExpanded(plain);
  return expectAsOnnxRuntime(coupled, 1e-4);
});

it('128 steps make a graph that is quick to write out and to differentiate', () => {
  const call = callOf({
    op: 'LSTM',
    time: 128,
    batch: 2,
    inputs: 3,
    hidden: 4,
    direction: 'forward',
    bias: true,
    lengths: false,
    initial: false,
    peepholes: false,
    clip: null,
    linearBeforeReset: false,
    activations: null,
    seed: 4,
  });
  // Nodes, not seconds: a step is 12 of them.
  expect(expanded(callGraph(call).graph).nodes.length).toBeLessThan(13 * 128);
});

it('refuses an activation that it does not know, by name', () => {
  const call: Call = {
    op: 'RNN',
    inputs: [
      given('float32', [1, 1, 1], [1]),
      given('float32', [1, 1, 1], [1]),
      given('float32', [1, 1, 1], [1]),
    ],
    attributes: { activations: attr.strings(['Swirl']) },
    outputs: 2,
  };
  expect(() => callGraph(call)).toThrow(/Swirl/);
});
