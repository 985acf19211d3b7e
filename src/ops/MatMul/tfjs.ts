/**
 * Matrix products: large ones on hardware by tfjs's tiled kernel, all others by our own. tfjs also has a variant
 * that adds partial sums by float atomics, in whatever order threads finish: it is never taken, because runs must
 * repeat bit by bit.
 */
import { env } from '@tensorflow/tfjs-core';
import { sizeOf } from '../../core/dtype';
import { addressOf, broadcastStrides, kernel } from '../lowering/kernel';
import { alias, deviceType, given, inputType, outputType, tfjsKernel } from '../lowering/tfjs';
import type { Backend, Lowering, TensorInfo } from '../lowering/tfjs';
import { directProduct } from './kernel';
import type { Product } from './kernel';

/** tfjs's own number for its tiled variant (webgpu_util.MatMulProgramType, which it does not export). */
const TILED = 3;
/** Every 32 x 32 tile of the output is a workgroup; with fewer a GPU is mostly idle. */
const FEW_TILES = 16;

/**
 * Prepares rows · columns products. Where tfjs runs them, `finish` adds what the epilogue of our own would.
 */
export function multiply(
  backend: Backend,
  software: boolean,
  product: Product,
  finish?: (inputs: readonly TensorInfo[]) => TensorInfo,
): (inputs: readonly TensorInfo[]) => TensorInfo {
  const { batch, rows, columns, inner, transposeA, transposeB, batchedA, batchedB } = product;
  const tiles = batch * Math.ceil(rows / 32) * Math.ceil(columns / 32);
  if (software || product.integer || tiles < FEW_TILES) return directProduct(backend, product);
  const matrix = (transposed: boolean, high: number, wide: number) =>
    transposed ? [wide, high] : [high, wide];
  const aDims = [batchedA ? batch : 1, ...matrix(transposeA, rows, inner)];
  const bDims = [batchedB ? batch : 1, ...matrix(transposeB, inner, columns)];
  return ([x, y, ...rest]) => {
    const a = { ...given(x), shape: aDims };
    const b = { ...given(y), shape: bDims };
    env().set('WEBGPU_MATMUL_PROGRAM_TYPE', TILED);
    const tiled = tfjsKernel(backend, 'BatchMatMul', { a, b }, { transposeA, transposeB });
    const result = { ...tiled, shape: [...product.output] };
    if (finish === undefined) return result;
    const finished = finish([result, ...rest]);
    backend.disposeData(result.dataId);
    return finished;
  };
}

export const matMul: Lowering = (context) => {
  const { backend, software } = context;
  const a = inputType(context, 0).dims;
  const b = inputType(context, 1).dims;
  const output = outputType(context);
  const integer = deviceType(output.dtype) !== 'float32';
  // A vector is a matrix of one row (left) or one column (right).
  const aDims = a.length === 1 ? [1, ...a] : a;
  const bDims = b.length === 1 ? [...b, 1] : b;
  const rows = aDims.at(-2) ?? 1;
  const inner = aDims.at(-1) ?? 1;
  const columns = bDims.at(-1) ?? 1;
  const rank = Math.max(aDims.length, bDims.length);
  const batchDims = output.dims.slice(0, rank - 2);
  const batch = sizeOf(batchDims);
  const ownA = sizeOf(aDims.slice(0, -2));
  const ownB = sizeOf(bDims.slice(0, -2));
  // A batch that is repeated only in part (rare) is written out first.
  const spread = (dims: readonly number[], own: number): ((x: TensorInfo) => TensorInfo) => {
    if (own === batch || own === 1) return (x) => alias(backend, x, x.shape);
    const wide = [...batchDims, ...dims.slice(-2)];
    const copy = kernel(backend, {
      label: 'MatMul broadcast',
      output: { dtype: integer ? 'int32' : 'float32', dims: wide },
      inputCount: 1,
      body: `  result[index] = x0[${addressOf(wide, broadcastStrides(dims, wide))}];`,
    });
    return (x) => copy([x]);
  };
  const left = spread(aDims, ownA);
  const right = spread(bDims, ownB);
  // One right-hand matrix for all: the batch is only more rows.
  const fold = batch > 1 && ownB === 1 && ownA === batch;
  const run = multiply(backend, software, {
    batch: fold ? 1 : batch,
    rows: fold ? batch * rows : rows,
    columns,
    inner,
    transposeA: false,
    transposeB: false,
    batchedA: !fold && ownA > 1,
    batchedB: ownB > 1,
    output: output.dims,
    alpha: 1,
    integer,
  });
  return (inputs) => {
    const operands = [left(given(inputs[0])), right(given(inputs[1]))];
    const result = run(operands);
    for (const { dataId } of operands) backend.disposeData(dataId);
    return [result];
  };
};
