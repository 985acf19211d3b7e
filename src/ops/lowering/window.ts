/** A sliding window as plain numbers, the way WGSL source needs them. */
import type { Node } from '../../onnx/graph';
import { windowOf } from '../Conv/window';

export interface FlatWindow {
  readonly height: number;
  readonly width: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly strideY: number;
  readonly strideX: number;
  readonly dilationY: number;
  readonly dilationX: number;
  /** Padding before the first row and column; what comes after follows from the output's size. */
  readonly padTop: number;
  readonly padLeft: number;
}

/** `x` is NCHW; `kernel` the spatial lengths of the weight, where there is one. */
export function flatWindow(
  node: Node,
  x: readonly number[],
  kernel?: readonly number[],
): FlatWindow {
  const { input, output, kernel: size, strides, dilations, pads } = windowOf(node, x, kernel);
  return {
    height: input[0],
    width: input[1],
    outHeight: output[0],
    outWidth: output[1],
    kernelHeight: size[0],
    kernelWidth: size[1],
    strideY: strides[0],
    strideX: strides[1],
    dilationY: dilations[0],
    dilationX: dilations[1],
    padTop: pads[0],
    padLeft: pads[1],
  };
}
