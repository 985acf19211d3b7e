/** Y = alpha·A'·B' + beta·C, where ' transposes when asked; C broadcasts to Y. */
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute } from '../attributes';
import type { OpSpec, Value } from '../define';
import { multiplyInto } from '../MatMul/reference';
import { broadcastIndex, dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';
import { gemmGradient } from './gradient';

function transposed(x: Value): Value {
  const rows = dimAt(x.dims, 0);
  const columns = dimAt(x.dims, 1);
  const out = makeValue(x.dtype, [columns, rows]);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out.data[c * rows + r] = x.data[r * columns + c] as number;
  }
  return out;
}

function reference(node: Node, inputs: readonly (Value | undefined)[]): readonly Value[] {
  const given = [inputValue(node, inputs, 0), inputValue(node, inputs, 1)] as const;
  const a = intAttribute(node, 'transA', 0) ? transposed(given[0]) : given[0];
  const b = intAttribute(node, 'transB', 0) ? transposed(given[1]) : given[1];
  const rows = dimAt(a.dims, 0);
  const inner = dimAt(a.dims, 1);
  const columns = dimAt(b.dims, 1);
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  const out = makeValue(a.dtype, [rows, columns]);
  multiplyInto(a.data, 0, b.data, 0, out.data, 0, rows, inner, columns);
  const c = inputs[2];
  const index = c && broadcastIndex(c.dims, out.dims);
  for (let i = 0; i < out.data.length; i++) {
    const bias = c && index ? beta * (c.data[index[i] as number] as number) : 0;
    out.data[i] = alpha * (out.data[i] as number) + bias;
  }
  return [out];
}

export const gemmSpec: OpSpec = {
  name: 'Gemm',
  domain: '',
  inputs: [2, 3],
  infer: (context) => {
    const { node } = context;
    const a = inputType(context, 0);
    const b = inputType(context, 1);
    for (const [index, type] of [a, b].entries()) {
      if (type.dims.length !== 2) {
        throw shapeError(node, `input ${index}`, 'of rank 2', shapeText(type.dims));
      }
    }
    const transA = intAttribute(node, 'transA', 0) ? 1 : 0;
    const transB = intAttribute(node, 'transB', 0) ? 1 : 0;
    const inner = dimAt(a.dims, 1 - transA);
    const found = dimAt(b.dims, transB);
    if (typeof inner === 'number' && typeof found === 'number' && inner !== found) {
      throw shapeError(node, 'input 1', `${inner} long on its inner axis`, shapeText(b.dims));
    }
    return [{ dtype: a.dtype, dims: [dimAt(a.dims, transA), dimAt(b.dims, 1 - transB)] }];
  },
  reference,
  gradient: gemmGradient,
};
