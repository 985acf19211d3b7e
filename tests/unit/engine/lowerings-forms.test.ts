/** What lowerings put into a plan: well-formed kernels, no work where nothing moves, reads that can be fused. */
import { describe, expect, it } from 'vitest';
import { loweringOf } from '../../../src/engine/plan/lowerings';
import type { PlanKernel } from '../../../src/engine/plan/kernels';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import { HARDWARE, lowered, pointwiseOf, SOFTWARE } from '../../support/lowered';
import type { Lowered, LoweredCall } from '../../support/lowered';

const WINDOW = { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) };
const OVERLAP = { kernel_shape: attr.ints([3, 3]), strides: attr.ints([2, 2]) };
const LABELS = { dtype: 'int32', dims: [3] } as const;
const BOOLS = { dtype: 'bool', dims: [2, 3] } as const;

const CASES: readonly LoweredCall[] = [
  { op: 'Add', inputs: [[2, 3], [3]] },
  { op: 'Pow', inputs: [[2, 3], []] },
  { op: 'Relu', inputs: [[2, 3]] },
  { op: 'LeakyRelu', inputs: [[2, 3]], attributes: { alpha: attr.float(0.1) } },
  { op: 'Gelu', inputs: [[2, 3]] },
  { op: 'Shrink', inputs: [[2, 3]] },
  { op: 'Log', inputs: [[2, 3]] },
  { op: 'Max', inputs: [[2, 3], [3], [2, 1]] },
  { op: 'Clip', inputs: [[2, 3], [], []] },
  { op: 'Where', inputs: [BOOLS, [2, 3], [3]] },
  { op: 'Cast', inputs: [[2, 3]], attributes: { to: attr.int(10) } },
  { op: 'Cast', inputs: [BOOLS], attributes: { to: attr.int(1) } },
  { op: 'Transpose', inputs: [[2, 3, 4]] },
  { op: 'Expand', inputs: [[3, 1], { ints: [2, 3, 4] }] },
  {
    op: 'Slice',
    inputs: [[5, 6], { ints: [4, 1] }, { ints: [-9, 5] }, { ints: [0, 1] }, { ints: [-2, 2] }],
  },
  {
    op: 'Split',
    inputs: [[2, 6], { ints: [1, 2, 3] }],
    attributes: { axis: attr.int(1) },
    outputs: 3,
  },
  {
    op: 'Concat',
    inputs: [
      [2, 3],
      [2, 1],
      [2, 4],
    ],
    attributes: { axis: attr.int(1) },
  },
  { op: 'Tile', inputs: [[2, 3], { ints: [2, 2] }] },
  { op: 'Pad', inputs: [[2, 3], { ints: [1, 0, -1, 2] }] },
  {
    op: 'Pad',
    inputs: [[2, 3], { ints: [1, 0, 0, 2] }],
    attributes: { mode: attr.string('reflect') },
  },
  { op: 'CumSum', inputs: [[2, 3], { ints: [1] }] },
  { op: 'Trilu', inputs: [[4, 4]] },
  { op: 'ReverseSequence', inputs: [[4, 3, 2], LABELS] },
  { op: 'Gather', inputs: [[4, 3], LABELS] },
  { op: 'GatherElements', inputs: [[4], LABELS] },
  { op: 'GatherND', inputs: [[4, 3], { dtype: 'int32', dims: [5, 1] }] },
  { op: 'ScatterElements', inputs: [[4], LABELS, [3]] },
  { op: 'ScatterND', inputs: [[4, 3], { dtype: 'int32', dims: [5, 1] }, [5, 3]] },
  { op: 'OneHot', inputs: [LABELS, { ints: [4] }, [2]] },
  { op: 'TopK', inputs: [[3, 7], { ints: [2] }], outputs: 2 },
  { op: 'RoiAlign', inputs: [[1, 2, 5, 5], [3, 4], LABELS] },
  { op: 'MaxPool', inputs: [[1, 2, 6, 6]], attributes: WINDOW, outputs: 2 },
  { op: 'AveragePool', inputs: [[1, 2, 7, 7]], attributes: OVERLAP },
  {
    op: 'MaxPoolGrad',
    inputs: [
      [1, 2, 3, 3],
      [1, 2, 6, 6],
    ],
    attributes: WINDOW,
    training: true,
  },
  {
    op: 'MaxPoolGrad',
    inputs: [
      [1, 2, 3, 3],
      [1, 2, 7, 7],
    ],
    attributes: OVERLAP,
    training: true,
  },
  {
    op: 'AveragePoolGrad',
    inputs: [[1, 2, 3, 3]],
    attributes: { ...WINDOW, input_shape: attr.ints([1, 2, 6, 6]) },
    training: true,
  },
  {
    op: 'AveragePoolGrad',
    inputs: [[1, 2, 3, 3]],
    attributes: { ...OVERLAP, input_shape: attr.ints([1, 2, 7, 7]) },
    training: true,
  },
  {
    op: 'DropoutTrain',
    inputs: [
      [2, 3],
      [2, 3],
    ],
    training: true,
  },
  { op: 'ReduceMean', inputs: [[3, 4], { ints: [1] }] },
  { op: 'ReduceL2', inputs: [[300, 400], { ints: [0] }] },
  { op: 'ReduceLogSum', inputs: [[2, 90000], { ints: [1] }] },
  { op: 'ReduceMax', inputs: [[90000], { ints: [0] }] },
  { op: 'ArgMax', inputs: [[3, 4]], attributes: { axis: attr.int(1) } },
  { op: 'GlobalAveragePool', inputs: [[2, 3, 8, 8]] },
];

function lower(call: LoweredCall, traits = SOFTWARE): Lowered {
  const lowering = loweringOf({
    name: '',
    op: call.op,
    domain: call.training ? TRAINING_DOMAIN : '',
    inputs: [],
    outputs: [],
    attributes: new Map(),
  });
  if (!lowering) throw new Error(`${call.op} has no lowering.`);
  return lowered(lowering, call, traits);
}

/** Code of a kernel by what it may use: reads and writes by number, and no name that the compiler gives. */
function expectWellFormed(kernel: PlanKernel): void {
  if (kernel.kind !== 'pointwise' && kernel.kind !== 'core') throw new Error('Not one of ours.');
  const { spec } = kernel;
  const core = 'body' in spec;
  const code = core
    ? `${spec.declarations ?? ''}${spec.body}`
    : `${spec.lets ?? ''}\n${spec.value}`;
  const numbered = (letter: string) =>
    [
      ...new Set(
        Array.from(code.matchAll(new RegExp(`\\b${letter}(\\d+)\\(`, 'g')), ([, n]) => Number(n)),
      ),
    ].sort();
  const counted = (length: number) => Array.from({ length }, (_, at) => at);
  expect(numbered('x'), code).toEqual(counted(spec.inputs.length));
  expect(numbered('y'), code).toEqual(counted(core ? spec.outputs.length : 0));
  expect(code).not.toMatch(/result\[|uniforms|Element|undefined|NaN|Infinity/);
  expect(code).not.toMatch(/\b(let|var|fn) [rpcwxy]\d/);
  for (const [open, close] of ['()', '{}', '[]']) {
    expect(code.split(open ?? '').length, code).toBe(code.split(close ?? '').length);
  }
  expect(spec.label).not.toBe('');
  for (const slot of (core && spec.streams) || []) expect(slot).toBeLessThan(spec.inputs.length);
}

describe.each([
  ['software', SOFTWARE],
  ['hardware', HARDWARE],
] as const)('kernels for %s', (_, traits) => {
  it.each(CASES.map((call, at) => [`${at} ${call.op}`, call] as const))('%s', (__, call) => {
    const { kernels, outputs } = lower(call, traits);
    expect(kernels.length).toBeGreaterThan(0);
    expect(outputs).toHaveLength(call.outputs ?? 1);
    kernels.forEach(expectWellFormed);
  });
});

describe('no work where no element moves', () => {
  const still: readonly LoweredCall[] = [
    { op: 'Reshape', inputs: [[2, 6], { ints: [3, -1] }] },
    { op: 'Flatten', inputs: [[2, 3, 4]] },
    { op: 'Squeeze', inputs: [[1, 3, 1], { ints: [0] }] },
    { op: 'Unsqueeze', inputs: [[3, 2], { ints: [0, 3] }] },
    { op: 'Transpose', inputs: [[5, 1, 6]], attributes: { perm: attr.ints([1, 0, 2]) } },
    { op: 'Expand', inputs: [[3, 4], { ints: [1, 3, 1] }] },
    { op: 'Slice', inputs: [[5, 6], { ints: [0] }, { ints: [9] }] },
    { op: 'Split', inputs: [[4, 2], { ints: [4] }] },
    {
      op: 'Concat',
      inputs: [
        [3, 0],
        [3, 2],
      ],
      attributes: { axis: attr.int(1) },
    },
    { op: 'Tile', inputs: [[2, 3], { ints: [1, 1] }] },
    { op: 'Identity', inputs: [[2, 3]] },
    { op: 'Cast', inputs: [[2, 3]], attributes: { to: attr.int(1) } },
    { op: 'Max', inputs: [[2, 3]] },
    { op: 'Dropout', inputs: [[2, 3]] },
    { op: 'ReduceSum', inputs: [[3, 1, 2], { ints: [1] }] },
  ];
  it.each(still.map((call) => [call.op, call] as const))('%s', (_, call) => {
    const { kernels, inputs, outputs } = lower(call);
    expect(kernels).toEqual([]);
    const sizes = (tensors: typeof inputs) =>
      tensors.map(({ dims }) => dims.reduce((a, b) => a * b, 1));
    const source = inputs.find((_tensor, at) => sizes(inputs)[at] === sizes(outputs)[0]);
    expect(outputs[0]?.value).toBe(source?.value);
  });
});

describe('reads', () => {
  const letsOf = (call: LoweredCall) => pointwiseOf(lower(call).kernels[0]).lets;

  it('are at the same place where shapes allow', () => {
    expect(
      letsOf({
        op: 'Add',
        inputs: [
          [2, 3],
          [1, 2, 3],
        ],
      }),
    ).toBe('let a = x0(index);\nlet b = x1(index);');
    expect(letsOf({ op: 'Mul', inputs: [[1], []] })).toBe('let a = x0(index);\nlet b = x1(index);');
    expect(letsOf({ op: 'Add', inputs: [[2, 3], [3]] })).toBe(
      'let a = x0(index);\nlet b = x1((index % 3));',
    );
    expect(letsOf({ op: 'Add', inputs: [[2, 3], []] })).toBe('let a = x0(index);\nlet b = x1(0);');
  });

  it('of a part are in one expression', () => {
    const { kernels } = lower({
      op: 'Split',
      inputs: [[2, 6], { ints: [2, 4] }],
      attributes: { axis: attr.int(1) },
      outputs: 2,
    });
    expect(kernels.map((kernel) => pointwiseOf(kernel).value)).toEqual([
      'x0((index % 2) + (index / 2) * (6))',
      'x0(2 + (index % 4) + (index / 4) * (6))',
    ]);
  });

  it('of windows that do not overlap may be computed in place', () => {
    const streams = (call: LoweredCall) => {
      const [kernel] = lower(call).kernels;
      return kernel?.kind === 'core' ? kernel.spec.streams : undefined;
    };
    expect(streams({ op: 'MaxPool', inputs: [[1, 2, 6, 6]], attributes: WINDOW })).toEqual([0]);
    expect(streams({ op: 'MaxPool', inputs: [[1, 2, 7, 7]], attributes: OVERLAP })).toBeUndefined();
  });
});
