/** What norms, losses and attention put into a plan: few kernels, wide enough for a GPU, well-formed in every form. */
import { describe, expect, it } from 'vitest';
import { loweringOf } from '../../../src/engine/plan/lowerings';
import type { PlanKernel } from '../../../src/engine/plan/kernels';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { DeviceTraits } from '../../../src/ops/lowering/plan';
import { HARDWARE, lowered, SOFTWARE } from '../../support/lowered';
import type { LoweredCall } from '../../support/lowered';

const AXIS = { axis: attr.int(1) };
const int32 = (length: number) => ({ dtype: 'int32', dims: [length] }) as const;
const HEADS = {
  q_num_heads: attr.int(4),
  kv_num_heads: attr.int(2),
  scale: attr.float(0.25),
  is_causal: attr.int(1),
};
const [ROWS, WIDTH] = [1024, 256];
const [Q, K] = [
  [8, 128, 256],
  [8, 128, 128],
];
const PICTURE = [32, 16, 32, 32];
const C = [16];

/** Kernels with a body, and pointwise ones that the compiler may fuse to others. */
interface Expected extends LoweredCall {
  readonly cores: number;
  readonly pointwise?: number;
}

const CASES: readonly Expected[] = [
  { op: 'LayerNormalization', inputs: [[ROWS, WIDTH], [WIDTH], [WIDTH]], outputs: 3, cores: 1 },
  {
    op: 'LayerNormGrad',
    inputs: [[ROWS, WIDTH], [ROWS, WIDTH], [WIDTH], [ROWS, 1], [ROWS, 1]],
    ...{ attributes: AXIS, outputs: 3, training: true, cores: 2 },
  },
  { op: 'RMSNormalization', inputs: [[ROWS, WIDTH], [WIDTH]], cores: 1 },
  {
    op: 'RMSNormGrad',
    inputs: [[ROWS, WIDTH], [ROWS, WIDTH], [WIDTH], [ROWS, 1]],
    ...{ attributes: AXIS, outputs: 2, training: true, cores: 2 },
  },
  { op: 'BatchNormalization', inputs: [PICTURE, C, C, C, C], cores: 0, pointwise: 1 },
  // 16 channels alone would leave most of a GPU idle, so they are cut into parts.
  {
    op: 'BatchNormTrain',
    inputs: [PICTURE, C, C, C, C],
    ...{ outputs: 5, training: true, cores: 2, pointwise: 1 },
  },
  {
    op: 'BatchNormGrad',
    inputs: [PICTURE, PICTURE, C, C, C],
    ...{ outputs: 3, training: true, cores: 2, pointwise: 1 },
  },
  { op: 'Softmax', inputs: [[ROWS, 4096]], cores: 1 },
  {
    op: 'SoftmaxCrossEntropy',
    inputs: [[ROWS, 4096], int32(ROWS), [ROWS]],
    ...{ outputs: 3, training: true, cores: 2, pointwise: 1 },
  },
  {
    op: 'SoftmaxCrossEntropyGrad',
    inputs: [[], [ROWS, 4096], int32(ROWS), [ROWS]],
    ...{ training: true, cores: 0, pointwise: 1 },
  },
  {
    op: 'AttentionTrain',
    inputs: [Q, K, K],
    attributes: HEADS,
    outputs: 2,
    training: true,
    cores: 1,
  },
  {
    op: 'AttentionGrad',
    inputs: [Q, Q, K, K, Q, [8, 4, 128]],
    ...{ attributes: HEADS, outputs: 3, training: true, cores: 2 },
  },
  {
    op: 'GatherGrad',
    inputs: [[ROWS, WIDTH], int32(ROWS)],
    ...{ attributes: { dims: attr.ints([4096, WIDTH]) }, training: true, cores: 1 },
  },
  {
    op: 'DropoutMask',
    inputs: [int32(4)],
    attributes: { dims: attr.ints([64, 32]), ratio: attr.float(0.5), purpose: attr.int(7) },
    ...{ training: true, cores: 0, pointwise: 1 },
  },
];

function kernelsOf(call: LoweredCall, traits: DeviceTraits): readonly PlanKernel[] {
  const domain = call.training ? TRAINING_DOMAIN : '';
  const node = { name: '', domain, inputs: [], outputs: [], attributes: new Map() };
  const lowering = loweringOf({ ...node, op: call.op });
  if (!lowering) throw new Error(`${call.op} has no lowering.`);
  return lowered(lowering, call, traits).kernels;
}

const cores = (kernels: readonly PlanKernel[]) =>
  kernels.flatMap((kernel) => (kernel.kind === 'core' ? [kernel.spec] : []));

describe.each(CASES.map((call) => [call.op, call] as const))('%s', (_, call) => {
  it('takes few kernels', () => {
    const kernels = kernelsOf(call, HARDWARE);
    expect(cores(kernels)).toHaveLength(call.cores);
    expect(kernels.filter(({ kind }) => kind === 'pointwise')).toHaveLength(call.pointwise ?? 0);
  });

  it('runs over many elements on many workgroups', () => {
    for (const { label, inputs, items, workgroups } of cores(kernelsOf(call, HARDWARE))) {
      const largest = Math.max(...inputs.map(({ dims }) => dims.reduce((a, b) => a * b, 1)));
      if (largest <= 65536) continue;
      const groups = workgroups ? workgroups.count : Math.ceil((items ?? 0) / 64);
      expect(groups, label).toBeGreaterThanOrEqual(32);
    }
  });

  it('reads and writes by number, and takes no name that the compiler gives', () => {
    for (const traits of [SOFTWARE, HARDWARE]) {
      for (const { body, declarations = '', inputs, outputs } of cores(kernelsOf(call, traits))) {
        const code = `${declarations}${body}`;
        const numbers = (letter: string) =>
          new Set(
            Array.from(code.matchAll(new RegExp(`\\b${letter}(\\d+)\\(`, 'g')), ([, n]) =>
              Number(n),
            ),
          );
        const counted = (length: number) => new Set(Array.from({ length }, (_value, at) => at));
        expect(numbers('x')).toEqual(counted(inputs.length));
        expect(numbers('y')).toEqual(counted(outputs.length));
        expect(code).not.toMatch(/\b(let|var|fn) [rpcwxy]\d/);
        expect(code).not.toMatch(/undefined|NaN|Infinity/);
        for (const [open = '', close = ''] of ['()', '{}', '[]']) {
          expect(code.split(open).length, code).toBe(code.split(close).length);
        }
      }
    }
  });

  it('needs no barrier on a processor', () => {
    for (const { body, declarations = '' } of cores(kernelsOf(call, SOFTWARE))) {
      expect(`${declarations}${body}`).not.toMatch(/workgroupBarrier|var<workgroup>/);
    }
  });
});
