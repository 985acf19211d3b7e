/**
 * Gradient of Gather along axis 0, which is how embeddings are looked up: (dY, indices) -> dData.
 *   dY        [...indices, ...inner]
 *   indices   int32 or int64, of any shape; negative ones count from the end
 *   dData     `dims` = [rows, ...inner]
 *   attribute dims (ints)
 *   dData[r] = Σ dY[i] over the positions i with indices[i] = r, in the order of i;  0 where a row was not read
 */
import { sizeOf } from '../../core/dtype';
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import type { Expansion, OpSpec, ReferenceKernel } from '../define';
import { reshapeTo, zeros } from '../gradients';
import { checkedIndex } from '../indexing/address';
import { checkInputDims, dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const dy = inputValue(node, inputs, 0);
  const indices = inputValue(node, inputs, 1);
  const dims = intsAttribute(node, 'dims', []);
  const rows = dimAt(dims, 0);
  const inner = sizeOf(dims.slice(1));
  const out = makeValue(dy.dtype, dims);
  indices.data.forEach((given, i) => {
    const row = checkedIndex(node, given, rows);
    for (let k = 0; k < inner; k++) {
      const at = row * inner + k;
      out.data[at] = (out.data[at] as number) + (dy.data[i * inner + k] as number);
    }
  });
  return [out];
};

const expand: Expansion = ({ node, builder, type }) => {
  const [dy = '', indices = ''] = node.inputs;
  const dims = intsAttribute(node, 'dims', []);
  const count = sizeOf(type(indices).dims);
  const column = reshapeTo(builder, indices, [count, 1]);
  const index =
    type(indices).dtype === 'int64' ? column : builder.node('Cast', [column], { to: attr.int(7) });
  const flat = [dimAt(dims, 0), sizeOf(dims.slice(1))];
  const rows = reshapeTo(builder, dy, [count, dimAt(flat, 1)]);
  const sums = builder.node('ScatterND', [zeros(builder, flat), index, rows], {
    reduction: attr.string('add'),
  });
  return [reshapeTo(builder, sums, dims)];
};

export const gatherGradSpec: OpSpec = {
  name: 'GatherGrad',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => {
    const dims = intsAttribute(context.node, 'dims', []);
    if (dims.length === 0) {
      throw shapeError(context.node, 'dims', 'of rank 1 or more', shapeText(dims));
    }
    checkInputDims(context, 0, 'dY', [...inputType(context, 1).dims, ...dims.slice(1)]);
    return [{ dtype: inputType(context, 0).dtype, dims }];
  },
  reference,
  expand,
};
