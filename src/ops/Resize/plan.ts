/** What a Resize node asks for, axis by axis: from scales or sizes, `axes`, the region and the aspect policy. */
import type { Node } from '../../onnx/graph';
import { intsAttribute, stringAttribute } from '../attributes';
import { dimAt, normalizeAxis, shapeError } from '../shapes';
import { resizeAxis } from './axis';
import type { AxisResize } from './axis';

export interface ResizeInputs {
  readonly roi?: readonly number[] | undefined;
  readonly scales?: readonly number[] | undefined;
  readonly sizes?: readonly number[] | undefined;
}

export function resizedAxes(node: Node, rank: number): number[] {
  if (!node.attributes.has('axes')) return Array.from({ length: rank }, (_, axis) => axis);
  return intsAttribute(node, 'axes').map((axis) => normalizeAxis(node, axis, rank));
}

export interface Target {
  readonly axis: number;
  readonly output: number;
  readonly scale: number;
}

/** Length and scale of each resized axis. */
export function targetsOf(node: Node, dims: readonly number[], inputs: ResizeInputs): Target[] {
  const axes = resizedAxes(node, dims.length);
  // An exporter leaves the input that it does not use empty.
  const scales = inputs.scales?.length ? inputs.scales : undefined;
  const sizes = inputs.sizes?.length ? inputs.sizes : undefined;
  const given = sizes ?? scales;
  if (!given || given.length !== axes.length) {
    throw shapeError(
      node,
      sizes ? 'sizes' : 'scales',
      `${axes.length} numbers`,
      given ? `${given.length} numbers` : 'missing',
    );
  }
  if (!sizes) {
    return axes.map((axis, at) => {
      const scale = dimAt(given, at);
      if (!(scale > 0)) throw shapeError(node, 'scales', 'positive', String(scale));
      return { axis, scale, output: Math.floor(Math.fround(dimAt(dims, axis) * scale)) };
    });
  }
  const scaled = axes.map((axis, at) => dimAt(sizes, at) / dimAt(dims, axis));
  const policy = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch');
  if (policy === 'stretch') {
    return axes.map((axis, at) => ({ axis, scale: scaled[at] ?? 1, output: dimAt(sizes, at) }));
  }
  if (policy !== 'not_larger' && policy !== 'not_smaller') {
    throw shapeError(
      node,
      'keep_aspect_ratio_policy',
      'stretch, not_larger or not_smaller',
      policy,
    );
  }
  const scale = policy === 'not_larger' ? Math.min(...scaled) : Math.max(...scaled);
  return axes.map((axis) => ({
    axis,
    scale,
    output: Math.floor(scale * dimAt(dims, axis) + 0.5),
  }));
}

/** The axes that change, each with its matrix. */
export function planResize(
  node: Node,
  dims: readonly number[],
  inputs: ResizeInputs,
): AxisResize[] {
  const crops =
    stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel') === 'tf_crop_and_resize';
  const { roi } = inputs;
  const targets = targetsOf(node, dims, inputs);
  if (crops && roi?.length !== 2 * targets.length) {
    throw shapeError(node, 'roi', `${2 * targets.length} numbers`, `${roi?.length ?? 0}`);
  }
  return targets.flatMap(({ axis, output, scale }, at) => {
    const input = dimAt(dims, axis);
    if (output < 1 && input > 0) {
      throw shapeError(node, `the new length of axis ${axis}`, 'at least 1', String(output));
    }
    const region = crops && roi ? [dimAt(roi, at), dimAt(roi, targets.length + at)] : [0, 1];
    const [from = 0, to = 1] = region;
    if (input === output && Math.abs(scale - 1) < 1e-9 && from === 0 && to === 1) return [];
    return [resizeAxis(node, { axis, input, output, scale, roi: [from, to] })];
  });
}
