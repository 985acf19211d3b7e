/** Pooling and its gradients on the graphics processor: our own kernels, NCHW, ties to the first. */
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { windowOf } from '../Conv/window';
import { deviceType, given, inputType, outputType } from '../lowering/tfjs';
import type { Lowering, LoweringTable } from '../lowering/tfjs';
import { deviceWindow } from '../lowering/window';
import { includesPad } from './attributes';
import { averagePool, averagePoolGrad, maxPool, maxPoolGrad, maxPoolIndices } from './kernel';

const poolWindow = (node: Node, x: readonly number[]) => deviceWindow(windowOf(node, x));

const max: Lowering = (context) => {
  const { node, backend } = context;
  const { dtype, dims } = outputType(context);
  const v = poolWindow(node, inputType(context, 0).dims);
  const device = deviceType(dtype) === 'float32' ? 'float32' : 'int32';
  const runs = [maxPool(backend, { dtype: device, dims }, v)];
  if ((node.outputs[1] ?? '') !== '') {
    const byColumns = intAttribute(node, 'storage_order', 0) !== 0;
    runs.push(maxPoolIndices(backend, dims, v, byColumns));
  }
  return (inputs) => runs.map((each) => each([given(inputs[0])]));
};

/** (dY, X) -> dX */
const maxGrad: Lowering = (context) => {
  const x = inputType(context, 1).dims;
  const run = maxPoolGrad(context.backend, x, poolWindow(context.node, x));
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

const average: Lowering = (context) => {
  const { node, backend } = context;
  const v = poolWindow(node, inputType(context, 0).dims);
  const run = averagePool(backend, outputType(context).dims, v, includesPad(node));
  return (inputs) => [run([given(inputs[0])])];
};

/** (dY) -> dX */
const averageGrad: Lowering = (context) => {
  const { node, backend } = context;
  const x = outputType(context).dims;
  const run = averagePoolGrad(backend, x, poolWindow(node, x), includesPad(node));
  return (inputs) => [run([given(inputs[0])])];
};

export const POOLING: LoweringTable = { MaxPool: max, AveragePool: average };
export const POOLING_GRADIENTS: LoweringTable = {
  MaxPoolGrad: maxGrad,
  AveragePoolGrad: averageGrad,
};
