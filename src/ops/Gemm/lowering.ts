/** Gemm: alpha · A' · B' + beta · C. The product, and a pointwise kernel that the compiler fuses to its writes. */
import { floatAttribute, intAttribute } from '../attributes';
import { addressOf, broadcastStrides, f32 } from '../lowering/address';
import { hasInput, input, inputType, outputType } from '../lowering/context';
import type { Lowering } from '../lowering/plan';
import { product } from '../MatMul/product';
import { viewOf } from '../MatMul/view';

export const gemm: Lowering = (context) => {
  const { node, plan } = context;
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  const output = outputType(context);
  const a = viewOf(context, 0);
  const b = viewOf(context, 1);
  const swap = (strides: readonly number[], wanted: boolean): readonly number[] =>
    wanted ? strides.toReversed() : strides;
  const transposeA = intAttribute(node, 'transA', 0) === 1;
  const [line = 0, inner = 0] = swap(a.strides, transposeA);
  const [innerB = 0, column = 0] = swap(b.strides, intAttribute(node, 'transB', 0) === 1);
  const [rows = 1, columns = 1] = output.dims;
  const raw = product(plan, {
    label: 'Gemm',
    batch: [],
    rows,
    columns,
    inner: a.dims[transposeA ? 0 : 1] ?? 1,
    a: { tensor: a.tensor, batch: [], line, inner },
    b: { tensor: b.tensor, batch: [], line: column, inner: innerB },
    output,
  });
  const biased = hasInput(context, 2) && beta !== 0;
  if (alpha === 1 && !biased) return [raw];
  const scaled = alpha === 1 ? 'x0(index)' : `${f32(alpha)} * x0(index)`;
  const inputs = biased ? [raw, input(context, 2)] : [raw];
  let value = scaled;
  if (biased) {
    const at = addressOf(output.dims, broadcastStrides(inputType(context, 2).dims, output.dims));
    value += ` + ${beta === 1 ? '' : `${f32(beta)} * `}x1(${at})`;
  }
  return [plan.pointwise({ label: 'Gemm bias', inputs, output, value })];
};
