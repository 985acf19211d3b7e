/** Geometry of a 2-D sliding window: what Conv, the pools and their gradients agree on. */
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute, intsAttribute, stringAttribute, unsupported } from '../attributes';
import { dimAt, shapeError, shapeText } from '../shapes';

type Pair = readonly [number, number];

export interface Window {
  readonly kernel: Pair;
  readonly strides: Pair;
  readonly dilations: Pair;
  /** [top, left, bottom, right], resolved from `auto_pad`. */
  readonly pads: readonly [number, number, number, number];
  readonly input: Pair;
  readonly output: Pair;
}

function pair(node: Node, name: string, values: readonly number[]): Pair {
  const [first, second] = values;
  if (values.length !== 2 || first === undefined || second === undefined) {
    throw unsupported(
      node,
      `has ${name} ${shapeText(values)}: only 2-D windows are carried out; it`,
    );
  }
  if (![first, second].every((value) => Number.isInteger(value) && value > 0)) {
    throw shapeError(node, name, 'two positive integers', shapeText(values));
  }
  return [first, second];
}

/** @param dims NCHW; only the two spatial lengths must be static. @param kernel of the weight, where there is one. */
export function windowOf(node: Node, dims: readonly Dim[], kernel?: readonly Dim[]): Window {
  if (dims.length !== 4) throw shapeError(node, 'input 0', 'of rank 4 (NCHW)', shapeText(dims));
  const height = dimAt(dims, 2);
  const width = dimAt(dims, 3);
  if (typeof height !== 'number' || typeof width !== 'number') {
    throw shapeError(node, 'input 0', 'of fixed height and width', shapeText(dims));
  }
  const size = pair(
    node,
    'kernel_shape',
    (kernel as number[] | undefined) ?? intsAttribute(node, 'kernel_shape'),
  );
  const strides = pair(node, 'strides', intsAttribute(node, 'strides', [1, 1]));
  const dilations = pair(node, 'dilations', intsAttribute(node, 'dilations', [1, 1]));
  if (intAttribute(node, 'ceil_mode', 0) !== 0) throw unsupported(node, 'uses ceil_mode');
  const pads = resolvePads(node, [height, width], size, strides, dilations);
  const length = (axis: 0 | 1): number => {
    const padded = (axis === 0 ? height : width) + pads[axis] + pads[axis === 0 ? 2 : 3];
    const span = (size[axis] - 1) * dilations[axis] + 1;
    if (span > padded) {
      throw shapeError(node, 'the window', `at most ${padded} long`, `${span} on axis ${axis + 2}`);
    }
    return Math.floor((padded - span) / strides[axis]) + 1;
  };
  return {
    kernel: size,
    strides,
    dilations,
    pads,
    input: [height, width],
    output: [length(0), length(1)],
  };
}

function resolvePads(
  node: Node,
  input: Pair,
  kernel: Pair,
  strides: Pair,
  dilations: Pair,
): Window['pads'] {
  const mode = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (mode === 'VALID') return [0, 0, 0, 0];
  if (mode === 'NOTSET') {
    const [top, left, bottom, right] = intsAttribute(node, 'pads', [0, 0, 0, 0]);
    const pads = [top ?? 0, left ?? 0, bottom ?? 0, right ?? 0] as const;
    if (pads.some((pad) => pad < 0)) throw unsupported(node, 'uses negative pads');
    return pads;
  }
  if (mode !== 'SAME_UPPER' && mode !== 'SAME_LOWER')
    throw unsupported(node, `uses auto_pad ${mode}`);
  const before: number[] = [];
  const after: number[] = [];
  for (const axis of [0, 1] as const) {
    const span = (kernel[axis] - 1) * dilations[axis] + 1;
    const out = Math.ceil(input[axis] / strides[axis]);
    const total = Math.max(0, (out - 1) * strides[axis] + span - input[axis]);
    const small = Math.floor(total / 2);
    before.push(mode === 'SAME_UPPER' ? small : total - small);
    after.push(mode === 'SAME_UPPER' ? total - small : small);
  }
  return [dimAt(before, 0), dimAt(before, 1), dimAt(after, 0), dimAt(after, 1)];
}

/**
 * Output positions [from, to) along one axis whose input position `o·stride + offset` lies within [0, length).
 */
export function validRange(
  offset: number,
  stride: number,
  length: number,
  outputs: number,
): [number, number] {
  const from = offset >= 0 ? 0 : Math.ceil(-offset / stride);
  const to = Math.min(outputs, Math.floor((length - 1 - offset) / stride) + 1);
  return [from, Math.max(from, to)];
}
