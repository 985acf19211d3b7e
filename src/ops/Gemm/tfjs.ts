/** Gemm: alpha · A' · B' + beta · C, the product by tfjs and the rest in one kernel. */
import { floatAttribute, intAttribute } from '../attributes';
import { addressOf, broadcastStrides, f32, kernel } from '../lowering/kernel';
import { given, hasInput, inputType, outputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import { multiply } from '../MatMul/tfjs';

export const gemm: Lowering = (context) => {
  const { backend, node } = context;
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  const transposeA = intAttribute(node, 'transA', 0) === 1;
  const transposeB = intAttribute(node, 'transB', 0) === 1;
  const output = outputType(context);
  const bias = hasInput(context, 2) && beta !== 0;
  const scaled = alpha === 1 ? 'x0[index]' : `${f32(alpha)} * x0[index]`;
  const added = bias
    ? ` + ${beta === 1 ? '' : `${f32(beta)} * `}x1[${addressOf(
        output.dims,
        broadcastStrides(inputType(context, 2).dims, output.dims),
      )}]`
    : '';
  const finish =
    alpha === 1 && !bias
      ? undefined
      : kernel(backend, {
          label: 'Gemm bias',
          output,
          inputCount: bias ? 2 : 1,
          body: `  result[index] = ${scaled}${added};`,
        });
  return (inputs) => {
    const product = multiply(backend, given(inputs[0]), given(inputs[1]), transposeA, transposeB);
    if (finish === undefined) return [product];
    const result = finish(bias ? [product, given(inputs[2])] : [product]);
    backend.disposeData(product.dataId);
    return [result];
  };
};
