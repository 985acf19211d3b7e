import { attr } from '../../onnx/graph';
import type { Dim } from '../../onnx/graph';
import { unsupported } from '../attributes';
import type { GradientContext, OpSpec } from '../define';
import { transpose, zeros } from '../gradients';
import { dimAt, inputType, stridesOf } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';
import { padMode, paddedDims, paddingOf, shownPositions } from './padding';
import type { PadMode, Padding } from './padding';

export const padSpec: OpSpec = {
  name: 'Pad',
  domain: '',
  inputs: [2, 4],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    padMode(node);
    const [pads, axes] = [context.constant(1), context.constant(3)];
    if (!pads || (node.inputs[3] && !axes)) {
      return [{ dtype, dims: dims.map((_, axis): Dim => `${node.name}_${axis}`) }];
    }
    const padding = paddingOf(node, dims.length, numbersOf(pads), axes && numbersOf(axes));
    return [{ dtype, dims: paddedDims(node, dims, padding) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const padding = paddingOf(
      node,
      x.dims.length,
      Array.from(inputValue(node, inputs, 1).data),
      inputs[3] && Array.from(inputs[3].data),
    );
    const mode = padMode(node);
    const y = makeValue(x.dtype, paddedDims(node, x.dims, padding) as number[]);
    const strides = stridesOf(x.dims);
    // Addresses of the axes add up; a position of the constant makes the sum hopelessly negative.
    const outside = -(2 ** 40);
    const tables = x.dims.map((length, axis) => {
      const { before, after } = padding;
      const shown = shownPositions(node, mode, length, dimAt(before, axis), dimAt(after, axis));
      const stride = dimAt(strides, axis);
      return Float64Array.from(shown, (at) => (at < 0 ? outside : at * stride));
    });
    const outer = stridesOf(y.dims);
    const fill = inputs[2]?.data[0] ?? 0;
    for (let i = 0; i < y.data.length; i++) {
      let from = 0;
      tables.forEach((table, axis) => {
        from += table[Math.floor(i / dimAt(outer, axis)) % table.length] as number;
      });
      y.data[i] = from < 0 ? fill : (x.data[from] as number);
    }
    return [y];
  },
  gradient: (context) => {
    const { node, builder, outputGradients, type, constant, wants } = context;
    const [g] = outputGradients;
    const [x = '', , value = ''] = node.inputs;
    const [pads, axes] = [constant(1), constant(3)];
    if (!g) return [];
    if (!pads || (node.inputs[3] && !axes)) {
      throw unsupported(node, 'computes its pads while it runs and is to be learned through');
    }
    const { dims } = type(x);
    const padding = paddingOf(node, dims.length, numbersOf(pads), axes && numbersOf(axes));
    const mode = padMode(node);
    if (mode !== 'constant') return [foldBack(context, mode, padding)];
    const back = builder.node('Pad', [
      g,
      builder.ints([...padding.before, ...padding.after].map((pad) => (pad === 0 ? 0 : -pad))),
    ]);
    if (!value || !wants(2)) return [back];
    // What did not come from the input came from the constant.
    const sum = (name: string) => builder.node('ReduceSum', [name], { keepdims: attr.int(0) });
    const rest = builder.node('Sub', [sum(g), sum(back)]);
    return [back, undefined, builder.node('Reshape', [rest, builder.ints(type(value).dims)])];
  },
};

/** Axis by axis, the gradients of all positions that show an element are added to it. */
function foldBack(
  { node, builder, outputGradients, type }: GradientContext,
  mode: PadMode,
  { before, after }: Padding,
): string {
  const [x = ''] = node.inputs;
  const [y = ''] = node.outputs;
  const full = type(x).dims;
  const dims = [...type(y).dims];
  let name = outputGradients[0] ?? '';
  full.forEach((length, axis) => {
    const [lead, tail] = [dimAt(before, axis), dimAt(after, axis)];
    if (lead === 0 && tail === 0) return;
    const shown = Array.from(shownPositions(node, mode, length, lead, tail));
    const perm = dims.map((_, at) => (at === 0 ? axis : at <= axis ? at - 1 : at));
    const rest = dims.filter((_, at) => at !== axis);
    const rows = axis === 0 ? name : transpose(builder, name, perm);
    const sums = builder.node(
      'ScatterND',
      [
        zeros(builder, [length, ...rest]),
        builder.constant('int64', [shown.length, 1], shown),
        rows,
      ],
      { reduction: attr.string('add') },
    );
    name =
      axis === 0
        ? sums
        : transpose(
            builder,
            sums,
            dims.map((_, at) => perm.indexOf(at)),
          );
    dims[axis] = length;
  });
  return name;
}
