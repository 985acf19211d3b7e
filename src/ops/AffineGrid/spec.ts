/**
 * Coordinates of a picture under an affine map, for GridSample: (theta [N, d, d + 1], size) -> [N, ..., d]. The grid
 * of the picture itself is constant, so this is one matrix product. Jaderberg et al. 2015.
 */
import { sizeOf } from '../../core/dtype';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { reshapeTo, transpose } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';

/** Homogeneous coordinates (x, y, z, 1) of every pixel, in row order: [pixels, d + 1]. */
function homogeneous(node: Node, space: readonly number[]): Float64Array {
  const align = intAttribute(node, 'align_corners', 0) !== 0;
  const place = (index: number, length: number): number => {
    if (!align) return (2 * index + 1) / length - 1;
    return length === 1 ? -1 : (2 * index) / (length - 1) - 1;
  };
  const width = space.length + 1;
  const grid = new Float64Array(sizeOf(space) * width).fill(1);
  let below = 1;
  space.toReversed().forEach((length, column) => {
    for (let pixel = 0; pixel < grid.length / width; pixel++) {
      grid[pixel * width + column] = place(Math.floor(pixel / below) % length, length);
    }
    below *= length;
  });
  return grid;
}

function spaceOf(node: Node, size: readonly number[]): number[] {
  if (size.length === 4 || size.length === 5) return size.slice(2);
  throw shapeError(node, 'size', '4 or 5 lengths (NC and the axes)', shapeText(size));
}

export const affineGridSpec: OpSpec = {
  name: 'AffineGrid',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    if (dims.length !== 3) throw shapeError(node, 'theta', 'of rank 3', shapeText(dims));
    const [, rows, columns] = dims;
    const [count] = inputType(context, 1).dims;
    // Any of the three says how many axes there are.
    const rank =
      typeof rows === 'number'
        ? rows
        : typeof columns === 'number'
          ? columns - 1
          : Number(count) - 2;
    if (rank !== 2 && rank !== 3) {
      throw shapeError(node, 'theta', 'of 2 or 3 rows', shapeText(dims));
    }
    const space = context.elements(1)?.slice(2);
    const unknown = Array.from({ length: rank }, (_, axis): Dim => `${node.name}_${axis + 1}`);
    return [{ dtype, dims: [dimAt(dims, 0), ...(space ?? unknown), rank] }];
  },
  reference: (node, inputs) => {
    const theta = inputValue(node, inputs, 0);
    const space = spaceOf(node, Array.from(inputValue(node, inputs, 1).data));
    const grid = homogeneous(node, space);
    const [batch, rank, width] = theta.dims as [number, number, number];
    const pixels = sizeOf(space);
    const y = makeValue(theta.dtype, [batch, ...space, rank]);
    for (let at = 0; at < y.data.length; at++) {
      const row = at % rank;
      const pixel = Math.floor(at / rank) % pixels;
      const map = (Math.floor(at / (rank * pixels)) * rank + row) * width;
      let sum = 0;
      for (let k = 0; k < width; k++) {
        sum += (theta.data[map + k] as number) * (grid[pixel * width + k] as number);
      }
      y.data[at] = sum;
    }
    return [y];
  },
  expand: ({ node, builder, type, constant }) => {
    const [theta = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const size = constant(1);
    const space = size ? spaceOf(node, numbersOf(size)) : type(y).dims.slice(1, -1);
    const dims = [sizeOf(space), space.length + 1];
    const grid = builder.constant('float32', dims, [...homogeneous(node, space)]);
    const maps = transpose(builder, theta, [0, 2, 1]); // [N, d + 1, d]
    return [reshapeTo(builder, builder.node('MatMul', [grid, maps]), type(y).dims)];
  },
};
