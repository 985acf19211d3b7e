/** Gemm: alpha · A' · B' + beta · C. */
import { floatAttribute, intAttribute } from '../attributes';
import { addressOf, broadcastStrides, f32, kernel } from '../lowering/kernel';
import { given, hasInput, inputType, outputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import { multiply } from '../MatMul/tfjs';

export const gemm: Lowering = (context) => {
  const { backend, node, software } = context;
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  const transposeA = intAttribute(node, 'transA', 0) === 1;
  const transposeB = intAttribute(node, 'transB', 0) === 1;
  const output = outputType(context);
  const [rows = 1, columns = 1] = output.dims;
  const inner = inputType(context, 0).dims[transposeA ? 0 : 1] ?? 1;
  const hasBias = hasInput(context, 2) && beta !== 0;
  const strides = hasBias ? broadcastStrides(inputType(context, 2).dims, output.dims) : [];
  const [rowStride = 0, columnStride = 0] = strides;
  const scaled = alpha === 1 ? 'x0[index]' : `${f32(alpha)} * x0[index]`;
  const factor = beta === 1 ? '' : `${f32(beta)} * `;
  const added = hasBias ? ` + ${factor}x1[${addressOf(output.dims, strides)}]` : '';
  // Only where tfjs multiplies: its product comes without the rest.
  const finish =
    alpha === 1 && !hasBias
      ? undefined
      : kernel(backend, {
          label: 'Gemm bias',
          output,
          inputCount: hasBias ? 2 : 1,
          body: `  result[index] = ${scaled}${added};`,
        });
  const run = multiply(
    backend,
    software,
    {
      batch: 1,
      rows,
      columns,
      inner,
      transposeA,
      transposeB,
      batchedA: false,
      batchedB: false,
      output: output.dims,
      alpha,
      ...(hasBias ? { bias: { beta, rowStride, columnStride } } : {}),
    },
    finish,
  );
  return (inputs) => [run(inputs.slice(0, hasBias ? 3 : 2).map(given))];
};
