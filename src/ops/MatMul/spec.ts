import type { OpSpec } from '../define';
import { inputType } from '../shapes';
import { inputValue } from '../value';
import { matMulGradient } from './gradient';
import { matMul, matMulDims } from './reference';

export const matMulSpec: OpSpec = {
  name: 'MatMul',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const a = inputType(context, 0);
    const b = inputType(context, 1);
    return [{ dtype: a.dtype, dims: matMulDims(context.node, a.dims, b.dims).dims }];
  },
  reference: (node, inputs) => [
    matMul(node, inputValue(node, inputs, 0), inputValue(node, inputs, 1)),
  ],
  gradient: matMulGradient,
};
