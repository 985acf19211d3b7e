/** Which way products and convolutions are computed, in how many kernels, and that the device is kept busy. */
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import type { PlanKernel } from '../../../src/engine/plan/kernels';
import { KernelList } from '../../../src/engine/plan/kernels';
import { attr } from '../../../src/onnx/graph';
import { conv, convInputGradient, convWeightGradient } from '../../../src/ops/Conv/lowering';
import { gemm } from '../../../src/ops/Gemm/lowering';
import type { DeviceTraits } from '../../../src/ops/lowering/plan';
import { matMul } from '../../../src/ops/MatMul/lowering';
import { product } from '../../../src/ops/MatMul/product';
import { coreOf, HARDWARE, lowered, pointwiseOf, SOFTWARE } from '../../support/lowered';

const QUADS: DeviceTraits = { ...SOFTWARE, subgroups: true };

function multiplied(
  batch: number,
  rows: number,
  columns: number,
  inner: number,
  traits: DeviceTraits,
) {
  const list = new KernelList(traits);
  const given = (dims: readonly number[], name: string) =>
    list.resident({ dtype: 'float32', dims }, { kind: 'feed', name }, name);
  product(list, {
    ...{ label: 'MatMul', batch: [batch], rows, columns, inner },
    a: { tensor: given([batch, rows, inner], 'a'), batch: [rows * inner], line: inner, inner: 1 },
    b: { tensor: given([inner, columns], 'b'), batch: [0], line: 1, inner: columns },
    output: { dtype: 'float32', dims: [batch, rows, columns] },
  });
  return list;
}

const workgroupsOf = (kernel: PlanKernel | undefined): number => {
  const { workgroups, items, outputs } = coreOf(kernel);
  return workgroups?.count ?? Math.ceil((items ?? sizeOf(outputs[0]?.dims ?? [])) / 64);
};

describe('a matrix product', () => {
  const variant = (sizes: [number, number, number, number], traits: DeviceTraits) =>
    multiplied(...sizes, traits)
      .choices.filter(({ family }) => family === 'matmul')
      .map(({ chosen }) => chosen);

  it('is shared by quads on an emulated GPU, and in tiles of shared memory on hardware', () => {
    expect(variant([1, 512, 256, 64], QUADS)).toEqual(['quads']);
    expect(variant([1, 512, 256, 64], SOFTWARE)).toEqual(['direct']);
    expect(variant([1, 1024, 4096, 256], HARDWARE)).toEqual(['tiled']);
    expect(variant([1, 1024, 256, 256], HARDWARE)).toEqual(['small tiles']);
    expect(variant([1, 128, 64, 4096], HARDWARE)).toEqual(['split']);
    expect(variant([1, 64, 10, 8], HARDWARE)).toEqual(['direct']);
  });

  it('has 32 workgroups or more for 65536 outputs', () => {
    for (const traits of [QUADS, SOFTWARE, HARDWARE]) {
      for (const [rows, columns] of [
        [256, 256],
        [1024, 64],
        [64, 1024],
        [4096, 17],
        [8192, 8],
      ] as const) {
        for (const inner of [4, 64, 512]) {
          const [first] = multiplied(1, rows, columns, inner, traits).kernels;
          expect(workgroupsOf(first), `${rows} x ${inner} x ${columns}`).toBeGreaterThanOrEqual(32);
        }
      }
    }
  });

  it('of a batch with one right-hand matrix is one of more rows', () => {
    const { kernels } = lowered(matMul, {
      op: 'MatMul',
      inputs: [
        [8, 16, 32],
        [32, 64],
      ],
    });
    const batched = lowered(matMul, {
      op: 'MatMul',
      inputs: [
        [128, 32],
        [32, 64],
      ],
    });
    expect(kernels).toHaveLength(1);
    expect(coreOf(kernels[0]).body).toBe(coreOf(batched.kernels[0]).body);
  });

  it('leaves the bias of a Gemm to what is fused to it', () => {
    const { kernels } = lowered(gemm, {
      op: 'Gemm',
      inputs: [[8, 4], [6, 4], [6]],
      attributes: { transB: attr.int(1), alpha: attr.float(0.5) },
    });
    expect(kernels.map(({ kind }) => kind)).toEqual(['core', 'pointwise']);
    expect(pointwiseOf(kernels[1]).value).toBe('f32(0.5) * x0(index) + x1((index % 6))');
  });
});

describe('a convolution', () => {
  const attributes = { kernel_shape: attr.ints([3, 3]), pads: attr.ints([1, 1, 1, 1]) };
  const [x, w, y] = [
    [32, 16, 28, 28],
    [32, 16, 3, 3],
    [32, 32, 28, 28],
  ];

  it.each([
    ['an emulated GPU', QUADS],
    ['hardware', HARDWARE],
  ])('is one kernel on %s, its input gradient too', (_, traits) => {
    const forward = lowered(conv, { op: 'Conv', inputs: [x, w], attributes }, traits);
    const towardsX = { ...attributes, input_shape: attr.ints(x) };
    const call = { op: 'ConvGradInput', inputs: [y, w], attributes: towardsX, training: true };
    const backward = lowered(convInputGradient, { ...call, training: true }, traits);
    for (const { kernels } of [forward, backward]) {
      expect(kernels).toHaveLength(1);
      expect(workgroupsOf(kernels[0])).toBeGreaterThanOrEqual(32);
    }
  });

  it('has a weight gradient that is cut by images where weights are few', () => {
    const towardsW = { ...attributes, weight_shape: attr.ints(w) };
    const call = { op: 'ConvGradWeight', inputs: [y, x], attributes: towardsW } as const;
    const { kernels } = lowered(convWeightGradient, { ...call, training: true }, HARDWARE);
    expect(kernels).toHaveLength(2);
    expect(workgroupsOf(kernels[0])).toBeGreaterThanOrEqual(32);
    const emulated = lowered(convWeightGradient, { ...call, training: true }, QUADS);
    expect(emulated.kernels).toHaveLength(1);
  });
});
