/** Pooling and its gradients on the graphics processor: our own kernels, NCHW, ties to the first. */
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { windowOf } from '../Conv/window';
import { hasOutput, input, outputType } from '../lowering/context';
import type { Lowering, LoweringTable } from '../lowering/plan';
import { deviceWindow } from '../lowering/window';
import { includesPad } from './attributes';
import { averagePool, averagePoolGrad, maxPool, maxPoolGrad, maxPoolIndices } from './kernels';

const poolWindow = (node: Node, x: readonly number[]) => deviceWindow(windowOf(node, x));

const max: Lowering = (context) => {
  const { node, plan } = context;
  const x = input(context, 0);
  const output = outputType(context);
  const v = poolWindow(node, x.dims);
  const y = maxPool(plan, x, output, v);
  if (!hasOutput(context, 1)) return [y];
  const byColumns = intAttribute(node, 'storage_order', 0) !== 0;
  return [y, maxPoolIndices(plan, x, output.dims, v, byColumns)];
};

/** (dY, X) -> dX */
const maxGrad: Lowering = (context) => {
  const [dy, x] = [input(context, 0), input(context, 1)];
  return [maxPoolGrad(context.plan, dy, x, poolWindow(context.node, x.dims))];
};

const average: Lowering = (context) => {
  const { node, plan } = context;
  const x = input(context, 0);
  const v = poolWindow(node, x.dims);
  return [averagePool(plan, x, outputType(context), v, includesPad(node))];
};

/** (dY) -> dX */
const averageGrad: Lowering = (context) => {
  const { node, plan } = context;
  const x = outputType(context);
  const v = poolWindow(node, x.dims);
  return [averagePoolGrad(plan, input(context, 0), x, v, includesPad(node))];
};

export const POOLING: LoweringTable = { MaxPool: max, AveragePool: average };
export const POOLING_GRADIENTS: LoweringTable = {
  MaxPoolGrad: maxGrad,
  AveragePoolGrad: averageGrad,
};
