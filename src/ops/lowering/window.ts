/** A sliding window in WGSL: names and strides of its axes, and the lines that walk it. Sizes are literals. */
import type { Window, WindowAxis } from '../Conv/window';

export interface DeviceAxis extends WindowAxis {
  /** `z`, `y`, `x` from the outside in; variables of this axis end in it. */
  readonly name: string;
  /** Elements between neighbours along this axis, within one plane. */
  readonly inputStep: number;
  readonly outputStep: number;
}

/** A window as kernels see it, with the sizes of one plane of input, output and weight. */
export interface DeviceWindow {
  readonly axes: readonly DeviceAxis[];
  readonly pixels: number;
  readonly positions: number;
  readonly taps: number;
}

export function deviceWindow(window: Window): DeviceWindow {
  const names = ['z', 'y', 'x'].slice(-window.length);
  let [pixels, positions, taps] = [1, 1, 1];
  const axes = window.map((axis, index) => ({ axis, name: names[index] ?? 'x' })).toReversed();
  const named = axes.map(({ axis, name }): DeviceAxis => {
    const steps = { inputStep: pixels, outputStep: positions };
    pixels *= axis.input;
    positions *= axis.output;
    taps *= axis.kernel;
    return { ...axis, name, ...steps };
  });
  return { axes: named.toReversed(), pixels, positions, taps };
}

/** Coordinates `i…` (of the input) or `o…` (of the output) from the number of an element; planes may follow. */
export function coordinates(axes: readonly DeviceAxis[], of: 'i' | 'o', index: string): string {
  return axes
    .map((axis) => {
      const step = of === 'i' ? axis.inputStep : axis.outputStep;
      const length = of === 'i' ? axis.input : axis.output;
      const shifted = step === 1 ? index : `(${index} / ${step})`;
      return `  let ${of}${axis.name} = ${shifted} % ${length};`;
    })
    .join('\n');
}

/** Element of a plane at the coordinates `<prefix><axis>`. */
export function addressIn(axes: readonly DeviceAxis[], of: 'i' | 'o', prefix: string): string {
  return axes
    .map((axis) => {
      const step = of === 'i' ? axis.inputStep : axis.outputStep;
      const at = `${prefix}${axis.name}`;
      return step === 1 ? at : `${at} * ${step}`;
    })
    .join(' + ');
}

/** Every combination of taps, in weight order: one number an axis. */
export function everyTap(axes: readonly DeviceAxis[]): number[][] {
  let taps: number[][] = [[]];
  for (const { kernel } of axes) {
    taps = taps.flatMap((tap) => Array.from({ length: kernel }, (_, next) => [...tap, next]));
  }
  return taps;
}

/** Whether some window reaches over the edge of the picture. */
export function reachesOut(axes: readonly DeviceAxis[]): boolean {
  return axes.some(
    ({ before, input, output, stride, kernel, dilation }) =>
      before > 0 || (output - 1) * stride + (kernel - 1) * dilation - before >= input,
  );
}
