/**
 * Adds blocks back into the picture they were cut from: (X [N, C · taps, blocks], image_shape, block_shape) ->
 * [N, C, ...]. Each plane on its own is a ConvGradInput whose weight is the identity of the taps.
 */
import { sizeOf } from '../../core/dtype';
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { Dim, Node } from '../../onnx/graph';
import { windowAttributes } from '../Conv/gradient';
import { convGradInputReference } from '../Conv/reference';
import { windowOf } from '../Conv/window';
import type { OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { makeNode } from '../nodes';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';

/** The ConvGradInput that this is: its attributes, and the shapes of its operands. */
function callOf(
  node: Node,
  x: readonly number[],
  image: readonly number[],
  block: readonly number[],
) {
  const taps = sizeOf(block);
  const [batch, columns, blocks] = x as [number, number, number];
  const channels = columns / taps;
  const window = windowOf(node, [1, 1, ...image], block);
  const positions = window.map(({ output }) => output);
  if (!Number.isInteger(channels) || sizeOf(positions) !== blocks) {
    const expected = `a multiple of ${taps} rows of ${sizeOf(positions)} blocks`;
    throw shapeError(node, 'input 0', expected, shapeText(x));
  }
  const planes = batch * channels;
  return {
    gradient: [planes, taps, ...positions],
    weight: [taps, 1, ...block],
    attributes: {
      ...windowAttributes(window),
      input_shape: attr.ints([planes, 1, ...image]),
    },
    dims: [batch, channels, ...image],
  };
}

/** weight[t, 0, ·] is 1 at tap t. */
function identity(taps: number): number[] {
  return Array.from({ length: taps ** 2 }, (_, at) => (at % (taps + 1) === 0 ? 1 : 0));
}

export const col2ImSpec: OpSpec = {
  name: 'Col2Im',
  domain: '',
  inputs: [3, 3],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    if (dims.length !== 3) throw shapeError(context.node, 'input 0', 'of rank 3', shapeText(dims));
    const columns = dimAt(dims, 1);
    const [image, block] = [context.elements(1), context.constant(2)];
    const taps = block && sizeOf(numbersOf(block));
    const unknown = (axis: number): Dim => `${context.node.name}_${axis}`;
    const channels = typeof columns === 'number' && taps ? columns / taps : unknown(1);
    const shape = inputType(context, 1).dims[0];
    const rank = typeof shape === 'number' ? shape : 2;
    const space = image ?? Array.from({ length: rank }, (_, axis) => unknown(axis + 2));
    return [{ dtype, dims: [dimAt(dims, 0), channels, ...space] }];
  },
  reference: (node, inputs, scope) => {
    const x = inputValue(node, inputs, 0);
    const image = Array.from(inputValue(node, inputs, 1).data);
    const block = Array.from(inputValue(node, inputs, 2).data);
    const { gradient, weight, attributes, dims } = callOf(node, x.dims, image, block);
    const w = makeValue(x.dtype, weight, Float64Array.from(identity(sizeOf(block))));
    const inner = makeNode('ConvGradInput', ['dy', 'w'], attributes);
    const dy = makeValue(x.dtype, gradient, x.data);
    return convGradInputReference(inner, [dy, w], scope).map(({ data }) =>
      makeValue(x.dtype, dims, data),
    );
  },
  expand: ({ node, builder, type, constant }) => {
    const [x = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const block = constant(2);
    if (!block) throw shapeError(node, 'block_shape', 'a constant', 'computed');
    const sizes = numbersOf(block);
    const space = type(y).dims.slice(2);
    const { gradient, weight, attributes } = callOf(node, type(x).dims, space, sizes);
    const picture = builder.node(
      'ConvGradInput',
      [
        reshapeTo(builder, x, gradient),
        builder.constant('float32', weight, identity(sizeOf(sizes))),
      ],
      attributes,
      { domain: TRAINING_DOMAIN },
    );
    return [reshapeTo(builder, picture, type(y).dims)];
  },
};
