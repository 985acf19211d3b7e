/**
 * DepthToSpace and SpaceToDepth: both are one transposition of a picture cut into blocks. In DCR the block's place is
 * the slow part of the channel number, in CRD the fast one.
 */
import { floorDivDims, mulDims } from '../../onnx/dim';
import { attr } from '../../onnx/graph';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute, stringAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType, shapeError, shapeText, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';

interface Move {
  /** The input as blocks, the order of its axes, and the shape of the result. */
  readonly blocks: readonly number[];
  readonly perm: readonly number[];
  readonly dims: readonly number[];
}

function checked(node: Node, dims: readonly Dim[]): { size: number; crd: boolean } {
  const size = intAttribute(node, 'blocksize');
  const mode = stringAttribute(node, 'mode', 'DCR');
  if (dims.length !== 4) throw shapeError(node, 'input 0', 'of rank 4 (NCHW)', shapeText(dims));
  if (size < 1) throw shapeError(node, 'blocksize', 'at least 1', String(size));
  if (mode !== 'DCR' && mode !== 'CRD') throw shapeError(node, 'mode', 'DCR or CRD', mode);
  return { size, crd: mode === 'CRD' };
}

function depthToSpace(node: Node, dims: readonly number[]): Move {
  const { size, crd } = checked(node, dims);
  const [n, c, h, w] = dims as [number, number, number, number];
  const depth = c / size ** 2;
  return {
    blocks: crd ? [n, depth, size, size, h, w] : [n, size, size, depth, h, w],
    perm: crd ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2],
    dims: [n, depth, h * size, w * size],
  };
}

function spaceToDepth(node: Node, dims: readonly number[]): Move {
  const { size, crd } = checked(node, dims);
  const [n, c, h, w] = dims as [number, number, number, number];
  return {
    blocks: [n, c, h / size, size, w / size, size],
    perm: crd ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4],
    dims: [n, c * size ** 2, h / size, w / size],
  };
}

function spec(
  name: string,
  moveOf: (node: Node, dims: readonly number[]) => Move,
  infer: (node: Node, dims: readonly Dim[], size: number) => Dim[],
): OpSpec {
  return {
    name,
    domain: '',
    inputs: [1, 1],
    infer: (context) => {
      const { dtype, dims } = inputType(context, 0);
      const { size } = checked(context.node, dims);
      return [{ dtype, dims: infer(context.node, dims, size) }];
    },
    reference: (node, inputs) => {
      const x = inputValue(node, inputs, 0);
      const { blocks, perm, dims } = moveOf(node, x.dims);
      const strides = stridesOf(blocks);
      const index = stridedIndex(
        perm.map((axis) => dimAt(blocks, axis)),
        perm.map((axis) => dimAt(strides, axis)),
      );
      return [
        makeValue(
          x.dtype,
          dims,
          Float64Array.from(index, (at) => x.data[at] as number),
        ),
      ];
    },
    expand: ({ node, builder, type }) => {
      const [x = ''] = node.inputs;
      const { blocks, perm, dims } = moveOf(node, type(x).dims);
      const attributes = { perm: attr.ints(perm) };
      const moved = builder.node('Transpose', [reshapeTo(builder, x, blocks)], attributes);
      return [reshapeTo(builder, moved, dims)];
    },
  };
}

/** The length over `by` and times `times`; a remainder is an error. */
function scaled(node: Node, dims: readonly Dim[], axis: number, times: number, by: number): Dim {
  const dim = dimAt(dims, axis);
  if (typeof dim === 'number' && dim % by !== 0) {
    throw shapeError(node, `axis ${axis} of input 0`, `a multiple of ${by}`, shapeText(dims));
  }
  return mulDims(floorDivDims(dim, by), times);
}

export const depthToSpaceSpecs: readonly OpSpec[] = [
  spec('DepthToSpace', depthToSpace, (node, dims, size) => [
    dimAt(dims, 0),
    scaled(node, dims, 1, 1, size ** 2),
    scaled(node, dims, 2, size, 1),
    scaled(node, dims, 3, size, 1),
  ]),
  spec('SpaceToDepth', spaceToDepth, (node, dims, size) => [
    dimAt(dims, 0),
    scaled(node, dims, 1, size ** 2, 1),
    scaled(node, dims, 2, 1, size),
    scaled(node, dims, 3, 1, size),
  ]),
];
