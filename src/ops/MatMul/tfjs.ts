/**
 * Matrix products by tfjs's tiled kernels. One of its variants adds partial sums by float atomics, in whatever
 * order threads finish; that one is never taken, because runs must repeat bit by bit.
 */
import { env } from '@tensorflow/tfjs-core';
import { sizeOf } from '../../core/dtype';
import { addressOf, broadcastStrides, kernel } from '../lowering/kernel';
import { alias, given, inputType, outputType, tfjsKernel } from '../lowering/tfjs';
import type { Backend, Lowering, TensorInfo } from '../lowering/tfjs';

/** tfjs's own numbers for its variants (webgpu_util.MatMulProgramType, which it does not export). */
const REDUCE = 0;
const SMALL_OUTPUT = 2;
const TILED = 3;

/** Every 32 x 32 tile of the output is a workgroup; with few of them smaller tiles keep the GPU busy. */
const FEW_TILES = 8;

function variantFor(batch: number, rows: number, columns: number): number {
  if (batch * rows * columns <= 128) return REDUCE;
  const tiles = batch * Math.ceil(rows / 32) * Math.ceil(columns / 32);
  return tiles <= FEW_TILES ? SMALL_OUTPUT : TILED;
}

/** [batch, rows, columns] = a · b, either of them read transposed. */
export function multiply(
  backend: Backend,
  a: TensorInfo,
  b: TensorInfo,
  transposeA: boolean,
  transposeB: boolean,
): TensorInfo {
  const rows = a.shape.at(transposeA ? -1 : -2) ?? 1;
  const columns = b.shape.at(transposeB ? -2 : -1) ?? 1;
  const batch = Math.max(sizeOf(a.shape.slice(0, -2)), sizeOf(b.shape.slice(0, -2)));
  env().set('WEBGPU_MATMUL_PROGRAM_TYPE', variantFor(batch, rows, columns));
  const result = tfjsKernel(backend, 'BatchMatMul', { a, b }, { transposeA, transposeB });
  env().set('WEBGPU_MATMUL_PROGRAM_TYPE', -1);
  return result;
}

export const matMul: Lowering = (context) => {
  const { backend } = context;
  const a = inputType(context, 0).dims;
  const b = inputType(context, 1).dims;
  const output = outputType(context);
  // A vector is a matrix of one row (left) or one column (right).
  const aDims = a.length === 1 ? [1, ...a] : a;
  const bDims = b.length === 1 ? [...b, 1] : b;
  const rows = aDims.at(-2) ?? 1;
  const rank = Math.max(aDims.length, bDims.length);
  const batchDims = output.dims.slice(0, rank - 2);
  const batch = sizeOf(batchDims);
  const spread = (dims: readonly number[]): ((x: TensorInfo) => TensorInfo) => {
    const matrix = dims.slice(-2);
    const own = sizeOf(dims.slice(0, -2));
    if (own === batch || own === 1) return (x) => alias(backend, x, [own, ...matrix]);
    const wide = [...batchDims, ...matrix];
    const copy = kernel(backend, {
      label: 'MatMul broadcast',
      output: { dtype: 'float32', dims: [batch, ...matrix] },
      inputCount: 1,
      body: `  result[index] = x0[${addressOf(wide, broadcastStrides(dims, wide))}];`,
    });
    return (x) => copy([x]);
  };
  const spreadA = spread(aDims);
  const spreadB = spread(bDims);
  // One right-hand matrix for all: the batch is only more rows.
  const fold = batch > 1 && sizeOf(bDims.slice(0, -2)) === 1;
  return (inputs) => {
    const left = fold
      ? alias(backend, given(inputs[0]), [1, batch * rows, aDims.at(-1) ?? 1])
      : spreadA(given(inputs[0]));
    const right = spreadB(given(inputs[1]));
    const product = multiply(backend, left, right, false, false);
    backend.disposeData(left.dataId);
    backend.disposeData(right.dataId);
    return [{ ...product, shape: [...output.dims] }];
  };
};
