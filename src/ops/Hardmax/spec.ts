/** 1 at the first largest element along an axis, 0 elsewhere. Its gradient is 0 wherever it has one. */
import { attr } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { cast } from '../gradients';
import { aroundAxis, dimAt, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

export const hardmaxSpec: OpSpec = {
  name: 'Hardmax',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const type = inputType(context, 0);
    normalizeAxis(context.node, intAttribute(context.node, 'axis', -1), type.dims.length);
    return [type];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), x.dims.length);
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    const result = makeValue(x.dtype, x.dims);
    for (let row = 0; row < outer * inner; row++) {
      const base = Math.floor(row / inner) * length * inner + (row % inner);
      let best = 0;
      for (let k = 1; k < length; k++) {
        if ((x.data[base + k * inner] as number) > (x.data[base + best * inner] as number))
          best = k;
      }
      if (length > 0) result.data[base + best * inner] = 1;
    }
    return [result];
  },
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const { dtype, dims } = type(x);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), dims.length);
    const best = builder.node('ArgMax', [x], { axis: attr.int(axis), keepdims: attr.int(1) });
    const length = dimAt(dims, axis);
    const places = builder.constant(
      'int64',
      dims.map((_, index) => (index === axis ? length : 1)),
      Array.from({ length }, (_, index) => index),
    );
    return [cast(builder, builder.node('Equal', [places, best]), dtype)];
  },
};
