/** ONNX's slice arithmetic: starts, ends, axes and steps resolved for one shape. */
import { AppError } from '../../core/errors';
import type { Dim, Node, Tensor } from '../../onnx/graph';
import { dimAt, normalizeAxis, shapeError } from '../shapes';
import { numbersOf } from '../value';

export interface AxisRange {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly length: number;
}

export function resolveSlice(
  node: Node,
  dims: readonly Dim[],
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[] | undefined,
  steps: readonly number[] | undefined,
): AxisRange[] {
  return starts.map((givenStart, index) => {
    const axis = normalizeAxis(node, axes ? dimAt(axes, index) : index, dims.length);
    const step = steps ? dimAt(steps, index) : 1;
    if (step === 0) throw shapeError(node, `step of axis ${axis}`, 'not 0', '0');
    // Of a symbolic axis the range is not known; shape inference asks only which axes are cut.
    const given = dimAt(dims, axis);
    const dim = typeof given === 'number' ? given : Infinity;
    const clamp = (value: number, low: number, high: number) =>
      Math.min(high, Math.max(low, value < 0 ? value + dim : value));
    const down = step < 0;
    const start = down ? clamp(givenStart, 0, dim - 1) : clamp(givenStart, 0, dim);
    const end = down ? clamp(dimAt(ends, index), -1, dim - 1) : clamp(dimAt(ends, index), 0, dim);
    return { axis, start, step, length: Math.max(0, Math.ceil((end - start) / step)) };
  });
}

/** Whether all bounds of a Slice are known before it runs. */
export function hasConstantRanges(
  node: Node,
  constant: (index: number) => Tensor | undefined,
): boolean {
  return node.inputs.every((name, index) => index === 0 || name === '' || constant(index));
}

/** The ranges of a Slice whose bounds are constants. */
export function constantRanges(
  node: Node,
  dims: readonly (number | string)[],
  constant: (index: number) => Tensor | undefined,
): AxisRange[] {
  const [starts, ends, axes, steps] = [1, 2, 3, 4].map((index) => {
    const tensor = constant(index);
    return tensor && numbersOf(tensor);
  });
  if (!starts || !ends || (node.inputs[3] && !axes) || (node.inputs[4] && !steps)) {
    throw new AppError(
      'onnx/shape',
      `Node "${node.name}" (Slice) computes its bounds while it runs. Export the model with fixed bounds.`,
      { node: node.name },
    );
  }
  return resolveSlice(node, dims, starts, ends, axes, steps);
}
