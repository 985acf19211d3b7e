/** Pools by the p-norm: (Σ |x|^p)^(1/p) over each window, or over the whole picture (GlobalLpPool). */
import { sizeOf } from '../../core/dtype';
import type { GraphBuilder } from '../../onnx/builder';
import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { windowAttributes } from '../Conv/gradient';
import { unreached, windowOf } from '../Conv/window';
import type { OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { forEachWindow } from '../pooling/positions';
import { pooledDims } from '../pooling/attributes';
import { wholePlanes } from '../pooling/global';
import { dimAt, inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const orderOf = (node: Node): number => intAttribute(node, 'p', 2);

/** |x|^p. */
function powers(builder: GraphBuilder, x: string, p: number): string {
  if (p === 2) return builder.node('Mul', [x, x]);
  const size = builder.node('Abs', [x]);
  return p === 1 ? size : builder.node('Pow', [size, builder.scalar(p)]);
}

/** s^(1/p). The root of 0 has no slope; a picture of zeros (after Relu) gets the gradient 0 instead of NaN. */
function root(builder: GraphBuilder, sum: string, p: number): string {
  if (p === 1) return sum;
  const [zero, one] = [builder.scalar(0), builder.scalar(1)];
  const none = builder.node('Equal', [sum, zero]);
  const safe = builder.node('Where', [none, one, sum]);
  const value =
    p === 2 ? builder.node('Sqrt', [safe]) : builder.node('Pow', [safe, builder.scalar(1 / p)]);
  return builder.node('Where', [none, zero, value]);
}

export const lpPoolSpec: OpSpec = {
  name: 'LpPool',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    return [{ dtype, dims: pooledDims(context.node, dims) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const p = orderOf(node);
    const y = makeValue(x.dtype, pooledDims(node, x.dims) as number[]);
    const plane = sizeOf(x.dims.slice(2));
    const outputs = sizeOf(y.dims.slice(2));
    forEachWindow(windowOf(node, x.dims), (output, elements) => {
      for (let n = 0; n < dimAt(x.dims, 0) * dimAt(x.dims, 1); n++) {
        let sum = 0;
        for (const at of elements) sum += Math.abs(x.data[n * plane + at] as number) ** p;
        y.data[n * outputs + output] = sum ** (1 / p);
      }
    });
    return [y];
  },
  // The sum over a window is a convolution of each plane with ones.
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const dims = type(x).dims;
    const p = orderOf(node);
    const window = windowOf(node, dims).map((axis) => ({
      ...axis,
      after: axis.after + Math.max(0, -unreached(axis)),
    }));
    const kernel = window.map((axis) => axis.kernel);
    const ones = new Array<number>(sizeOf(kernel)).fill(1);
    const planes = [dimAt(dims, 0) * dimAt(dims, 1), 1, ...dims.slice(2)];
    const sums = builder.node(
      'Conv',
      [
        powers(builder, reshapeTo(builder, x, planes), p),
        builder.constant('float32', [1, 1, ...kernel], ones),
      ],
      windowAttributes(window),
    );
    return [reshapeTo(builder, root(builder, sums, p), type(y).dims)];
  },
};

export const globalLpPoolSpec: OpSpec = {
  name: 'GlobalLpPool',
  ...wholePlanes((plane, node) => {
    const p = orderOf(node);
    return plane.reduce((sum, value) => sum + Math.abs(value) ** p, 0) ** (1 / p);
  }),
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const p = orderOf(node);
    const axes = builder.ints(
      type(x)
        .dims.slice(2)
        .map((_, axis) => axis + 2),
    );
    const sum = builder.node('ReduceSum', [powers(builder, x, p), axes], { keepdims: attr.int(1) });
    return [root(builder, sum, p)];
  },
};
