/** Sizes of a convolution as kernels need them. */
import type { DeviceAxis, DeviceWindow } from '../lowering/window';

export interface ConvShape {
  readonly x: readonly number[]; // [N, C, ...]
  readonly w: readonly number[]; // [O, C / groups, ...]
  readonly y: readonly number[]; // [N, O, ...]
  readonly groups: number;
  readonly window: DeviceWindow;
}

export function sizesOf({ x, w, y, groups, window }: ConvShape) {
  return {
    batch: x[0] ?? 1,
    channels: x[1] ?? 1,
    outputs: y[1] ?? 1,
    groupIn: w[1] ?? 1,
    groupOut: (w[0] ?? 1) / groups,
    ...window,
  };
}

/** Windows of one pixel, in order: the planes are single axes then. */
export function flattened(shape: ConvShape): ConvShape {
  const { axes, pixels } = shape.window;
  const [first] = axes;
  const single = axes.every(
    ({ kernel, stride, before, input, output }) =>
      kernel === 1 && stride === 1 && before === 0 && input === output,
  );
  if (!single || axes.length === 1 || !first) return shape;
  const axis: DeviceAxis = {
    ...first,
    name: 'x',
    input: pixels,
    output: pixels,
    inputStep: 1,
    outputStep: 1,
  };
  return { ...shape, window: { axes: [axis], pixels, positions: pixels, taps: 1 } };
}
