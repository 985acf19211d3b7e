/** NonZero, Compress and NonMaxSuppression: how much they give depends on the values, so its length is a symbol. */
import { attr } from '../../onnx/graph';
import type { Dim } from '../../onnx/graph';
import { intAttribute, unsupported } from '../attributes';
import type { ExpansionContext, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { aroundAxis, inputType, normalizeAxis, stridesOf } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';
import { nonMaxSuppressionSpec } from './boxes';

const nonZeroSpec: OpSpec = {
  name: 'NonZero',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    // A single number counts as a list of one.
    const rank = Math.max(1, inputType(context, 0).dims.length);
    return [{ dtype: 'int64', dims: [rank, `${context.node.name}_count`] }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const dims = x.dims.length === 0 ? [1] : x.dims;
    const strides = stridesOf(dims);
    const found: number[] = [];
    x.data.forEach((value, index) => value !== 0 && found.push(index));
    const y = makeValue('int64', [dims.length, found.length]);
    strides.forEach((stride, axis) =>
      found.forEach((index, n) => {
        y.data[axis * found.length + n] = Math.floor(index / stride) % (dims[axis] as number);
      }),
    );
    return [y];
  },
};

/** Compress with known flags is a Gather at their positions. */
function expandCompress({ node, builder, type, constant }: ExpansionContext): readonly string[] {
  const [x = ''] = node.inputs;
  const flags = constant(1);
  if (!flags) throw unsupported(node, 'chooses by flags that are computed while it runs');
  const positions = numbersOf(flags).flatMap((flag, index) => (flag === 0 ? [] : [index]));
  const flat = !node.attributes.has('axis');
  const from = flat
    ? reshapeTo(builder, x, [type(x).dims.reduce((size, dim) => size * dim, 1)])
    : x;
  const axis = flat ? 0 : intAttribute(node, 'axis');
  return [builder.node('Gather', [from, builder.ints(positions)], { axis: attr.int(axis) })];
}

const compressSpec: OpSpec = {
  name: 'Compress',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const flags = context.constant(1);
    const count: Dim = flags
      ? numbersOf(flags).filter((flag) => flag !== 0).length
      : `${node.name}_count`;
    if (!node.attributes.has('axis')) return [{ dtype, dims: [count] }];
    const axis = normalizeAxis(node, intAttribute(node, 'axis'), dims.length);
    return [{ dtype, dims: dims.map((dim, at) => (at === axis ? count : dim)) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const flags = inputValue(node, inputs, 1).data;
    const flat = !node.attributes.has('axis');
    const dims = flat ? [x.data.length] : x.dims;
    const axis = flat ? 0 : normalizeAxis(node, intAttribute(node, 'axis'), dims.length);
    const { outer, length, inner } = aroundAxis(dims, axis);
    const kept = Array.from({ length }, (_, at) => at).filter((at) => flags[at]);
    const y = makeValue(
      x.dtype,
      dims.map((dim, at) => (at === axis ? kept.length : dim)),
    );
    for (let o = 0; o < outer; o++) {
      kept.forEach((position, n) => {
        const from = (o * length + position) * inner;
        y.data.set(x.data.subarray(from, from + inner), (o * kept.length + n) * inner);
      });
    }
    return [y];
  },
  expand: expandCompress,
};

export const selectionSpecs: readonly OpSpec[] = [nonZeroSpec, compressSpec, nonMaxSuppressionSpec];
