/**
 * Geometry of a sliding window over one to three spatial axes: what Conv, the pools, and their gradients agree on.
 * A window is a list of axes, so nothing here or in its users counts dimensions.
 */
import { addDims, ceilDivDims, floorDivDims } from '../../onnx/dim';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute, intsAttribute, stringAttribute } from '../attributes';
import { dimAt, shapeError, shapeText } from '../shapes';

export interface WindowAxis {
  readonly input: number;
  readonly output: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  /** Elements added before and after, resolved from `auto_pad`; negative ones are cut off. */
  readonly before: number;
  readonly after: number;
}

export type Window = readonly WindowAxis[];

/** Settings of one axis that do not depend on the picture. */
interface AxisSetting {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly pads: readonly [number, number];
}

/** Elements from the first tap of a window to its last. */
export function spanOf({ kernel, dilation }: { kernel: number; dilation: number }): number {
  return (kernel - 1) * dilation + 1;
}

function perAxis(node: Node, name: string, values: readonly number[], rank: number): void {
  if (values.length === rank && values.every((value) => Number.isInteger(value) && value > 0)) {
    return;
  }
  throw shapeError(node, name, `${rank} positive integers`, shapeText(values));
}

/** @param kernel spatial lengths of the weight, where there is one. */
export function windowSettings(
  node: Node,
  dims: readonly Dim[],
  kernel?: readonly Dim[],
): AxisSetting[] {
  const rank = dims.length - 2;
  if (rank < 1 || rank > 3) {
    throw shapeError(node, 'input 0', 'of rank 3, 4 or 5 (NC and 1 to 3 axes)', shapeText(dims));
  }
  const ones = new Array<number>(rank).fill(1);
  const given = node.attributes.has('kernel_shape') && intsAttribute(node, 'kernel_shape');
  const size = kernel?.every((dim) => typeof dim === 'number')
    ? kernel
    : given || intsAttribute(node, 'kernel_shape');
  perAxis(node, 'kernel_shape', size, rank);
  if (given && given.some((length, axis) => length !== size[axis])) {
    throw shapeError(node, 'the weight', `${shapeText(given)} in space`, shapeText(size));
  }
  const strides = intsAttribute(node, 'strides', ones);
  perAxis(node, 'strides', strides, rank);
  const dilations = intsAttribute(node, 'dilations', ones);
  perAxis(node, 'dilations', dilations, rank);
  const pads = intsAttribute(node, 'pads', [...ones, ...ones].fill(0));
  if (pads.length !== 2 * rank || !pads.every(Number.isInteger)) {
    throw shapeError(node, 'pads', `${2 * rank} integers`, shapeText(pads));
  }
  return ones.map((_, axis) => ({
    kernel: dimAt(size, axis),
    stride: dimAt(strides, axis),
    dilation: dimAt(dilations, axis),
    pads: [dimAt(pads, axis), dimAt(pads, rank + axis)],
  }));
}

export type AutoPad = 'NOTSET' | 'VALID' | 'SAME_UPPER' | 'SAME_LOWER';

export function autoPad(node: Node): AutoPad {
  const mode = stringAttribute(node, 'auto_pad', 'NOTSET');
  if (mode === 'NOTSET' || mode === 'VALID' || mode === 'SAME_UPPER' || mode === 'SAME_LOWER') {
    return mode;
  }
  throw shapeError(node, 'auto_pad', 'NOTSET, VALID, SAME_UPPER or SAME_LOWER', mode || 'empty');
}

/** `total` shared out: the odd one goes to the end for SAME_UPPER, to the start otherwise. */
export function splitPads(total: number, mode: AutoPad): [number, number] {
  const small = Math.floor(total / 2);
  return mode === 'SAME_UPPER' ? [small, total - small] : [total - small, small];
}

function resolveAxis(node: Node, axis: number, input: number, setting: AxisSetting): WindowAxis {
  const { kernel, stride, dilation } = setting;
  const mode = autoPad(node);
  const span = spanOf(setting);
  let [before, after] = mode === 'NOTSET' ? setting.pads : [0, 0];
  if (mode === 'SAME_UPPER' || mode === 'SAME_LOWER') {
    const output = Math.ceil(input / stride);
    [before, after] = splitPads(Math.max(0, (output - 1) * stride + span - input), mode);
  }
  const padded = input + before + after;
  const room = (padded - span) / stride;
  let output = Math.floor(room) + 1;
  if (intAttribute(node, 'ceil_mode', 0) !== 0) {
    output = Math.ceil(room) + 1;
    // A window that would begin in the padding behind the picture is left out.
    if ((output - 1) * stride >= input + before) output--;
  }
  if (output < 1) {
    throw shapeError(node, 'the window', `at most ${padded} long`, `${span} on axis ${axis}`);
  }
  return { input, output, kernel, stride, dilation, before, after };
}

/** @param dims NC and the spatial axes, which must be static. @param kernel of the weight, where there is one. */
export function windowOf(node: Node, dims: readonly Dim[], kernel?: readonly Dim[]): Window {
  return windowSettings(node, dims, kernel).map((setting, index) => {
    const input = dimAt(dims, index + 2);
    if (typeof input !== 'number') {
      throw shapeError(node, 'input 0', 'of fixed spatial lengths', shapeText(dims));
    }
    return resolveAxis(node, index + 2, input, setting);
  });
}

/** Spatial lengths of the output; a symbolic length gives an expression. */
export function windowDims(node: Node, dims: readonly Dim[], kernel?: readonly Dim[]): Dim[] {
  // A weight that is computed has no known size: nothing can be said.
  if (kernel?.some((dim) => typeof dim !== 'number') && !node.attributes.has('kernel_shape')) {
    return dims.slice(2).map((_, axis) => `${node.name}_${axis + 2}`);
  }
  return windowSettings(node, dims, kernel).map((setting, index): Dim => {
    const input = dimAt(dims, index + 2);
    if (typeof input === 'number') return resolveAxis(node, index + 2, input, setting).output;
    const mode = autoPad(node);
    if (mode === 'SAME_UPPER' || mode === 'SAME_LOWER') return ceilDivDims(input, setting.stride);
    const [before, after] = mode === 'NOTSET' ? setting.pads : [0, 0];
    const room = addDims(input, before + after - spanOf(setting));
    const ceil = intAttribute(node, 'ceil_mode', 0) !== 0;
    // In ceil mode one window less begins in the padding behind some pictures: then the length is not known.
    if (ceil && setting.stride > 1) {
      return after > 0
        ? `${node.name}_${index + 2}`
        : addDims(ceilDivDims(room, setting.stride), 1);
    }
    return addDims(floorDivDims(room, setting.stride), 1);
  });
}

/** Input elements behind the last that a window reaches, padding included; negative where windows reach further. */
export function unreached(axis: WindowAxis): number {
  const reached = (axis.output - 1) * axis.stride + spanOf(axis);
  return axis.input + axis.before + axis.after - reached;
}

const UNIT: WindowAxis = {
  input: 1,
  output: 1,
  kernel: 1,
  stride: 1,
  dilation: 1,
  before: 0,
  after: 0,
};

/** The same window with unit axes in front: loops over depth, height and width then serve every rank. */
export function cube(window: Window): readonly [WindowAxis, WindowAxis, WindowAxis] {
  const [depth, height, width] = [UNIT, UNIT, ...window].slice(-3);
  return [depth ?? UNIT, height ?? UNIT, width ?? UNIT];
}

/**
 * Output positions [from, to) along one axis whose input position under tap `tap` lies within the picture.
 */
export function validRange(tap: number, axis: WindowAxis): [number, number] {
  const offset = tap * axis.dilation - axis.before;
  const from = offset >= 0 ? 0 : Math.ceil(-offset / axis.stride);
  const to = Math.min(axis.output, Math.floor((axis.input - 1 - offset) / axis.stride) + 1);
  return [from, Math.max(from, to)];
}
