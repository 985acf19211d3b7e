/** Pooling and its gradients on the graphics processor: our own kernels, NCHW, ties to the first. */
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { flatWindow } from '../lowering/window';
import { given, inputType, outputType } from '../lowering/tfjs';
import type { Lowering, LoweringTable } from '../lowering/tfjs';
import { averagePool, averagePoolGrad, maxPool, maxPoolGrad, maxPoolIndices } from './kernel';

const includesPad = (node: Node): boolean => intAttribute(node, 'count_include_pad', 0) === 1;

const max: Lowering = (context) => {
  const { node, backend } = context;
  const y = outputType(context).dims;
  const v = flatWindow(node, inputType(context, 0).dims);
  const run = maxPool(backend, y, v);
  const runs = (node.outputs[1] ?? '') === '' ? [run] : [run, maxPoolIndices(backend, y, v)];
  return (inputs) => runs.map((each) => each([given(inputs[0])]));
};

/** (dY, X) -> dX */
const maxGrad: Lowering = (context) => {
  const x = inputType(context, 1).dims;
  const run = maxPoolGrad(context.backend, x, flatWindow(context.node, x));
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

const average: Lowering = (context) => {
  const { node, backend } = context;
  const v = flatWindow(node, inputType(context, 0).dims);
  const run = averagePool(backend, outputType(context).dims, v, includesPad(node));
  return (inputs) => [run([given(inputs[0])])];
};

/** (dY) -> dX */
const averageGrad: Lowering = (context) => {
  const { node, backend } = context;
  const x = outputType(context).dims;
  const run = averagePoolGrad(backend, x, flatWindow(node, x), includesPad(node));
  return (inputs) => [run([given(inputs[0])])];
};

export const POOLING: LoweringTable = { MaxPool: max, AveragePool: average };
export const POOLING_GRADIENTS: LoweringTable = {
  MaxPoolGrad: maxGrad,
  AveragePoolGrad: averageGrad,
};
