import { addDims } from '../../onnx/dim';
import type { Dim } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { aroundAxis, dimAt, inputType, normalizeAxis, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

export const concatSpec: OpSpec = {
  name: 'Concat',
  domain: '',
  inputs: [1, Infinity],
  infer: (context) => {
    const { node } = context;
    const first = inputType(context, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis'), first.dims.length);
    let length: Dim = 0;
    node.inputs.forEach((_, index) => {
      const { dtype, dims } = inputType(context, index);
      if (dtype !== first.dtype) throw shapeError(node, `input ${index}`, first.dtype, dtype);
      const fits = dims.every((dim, at) => {
        const other = first.dims[at];
        return at === axis || dim === other || typeof dim === 'string' || typeof other === 'string';
      });
      if (dims.length !== first.dims.length || !fits) {
        throw shapeError(node, `input ${index}`, `like ${shapeText(first.dims)}`, shapeText(dims));
      }
      const own = dimAt(dims, axis);
      length = addDims(length, own);
    });
    return [
      { dtype: first.dtype, dims: first.dims.map((dim, at) => (at === axis ? length : dim)) },
    ];
  },
  reference: (node, inputs) => {
    const parts = inputs.map((_, index) => inputValue(node, inputs, index));
    const first = inputValue(node, inputs, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis'), first.dims.length);
    const length = parts.reduce((sum, part) => sum + dimAt(part.dims, axis), 0);
    const y = makeValue(
      first.dtype,
      first.dims.map((dim, at) => (at === axis ? length : dim)),
    );
    const { outer, inner } = aroundAxis(y.dims, axis);
    let offset = 0;
    for (const part of parts) {
      const run = dimAt(part.dims, axis) * inner;
      for (let o = 0; o < outer; o++) {
        y.data.set(part.data.subarray(o * run, (o + 1) * run), o * length * inner + offset);
      }
      offset += run;
    }
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type, wants }) => {
    const [g] = outputGradients;
    const [first] = node.inputs;
    if (!g || !first) return [];
    const axis = normalizeAxis(node, intAttribute(node, 'axis'), type(first).dims.length);
    let start = 0;
    return node.inputs.map((name, index) => {
      const from = start;
      start += dimAt(type(name).dims, axis);
      if (!wants(index)) return undefined;
      return builder.node('Slice', [
        g,
        builder.ints([from]),
        builder.ints([start]),
        builder.ints([axis]),
      ]);
    });
  },
};
