/**
 * Gradient of a convolution for its weight: (dY, X) -> dW. Attributes are Conv's window, resolved, with `group`
 * and `weight_shape`.
 */
import { sizeOf } from '../../core/dtype';
import type { GraphBuilder } from '../../onnx/builder';
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import { convGradWeightGradient } from '../Conv/gradient';
import { convGradWeightReference } from '../Conv/reference';
import { spanOf, windowOf } from '../Conv/window';
import type { Window } from '../Conv/window';
import type { Expansion, OpSpec } from '../define';
import { reshapeTo, transpose } from '../gradients';
import { dimAt, inputType } from '../shapes';

interface Call {
  readonly builder: GraphBuilder;
  readonly dy: string; // [N, M, ...]
  readonly x: string; // [N, C, ...]
  readonly dims: readonly number[]; // of X
  readonly weight: readonly number[]; // [M, C / group, ...]
  readonly window: Window;
  readonly group: number;
}

/** Fewer channels than this make poor matrices; more taps too many nodes. */
const FEW_CHANNELS = 8;
const MOST_TAPS = 49;

/**
 * Tap by tap: dW[·,·,k] = dY · X shifted to k, each a matrix product over images and positions. Several times as
 * fast on onnxruntime as one correlation, whose matrices have only as many columns as there are taps.
 */
function byTaps({ builder, dy, x, dims, weight, window }: Call): string {
  const [batch, ...rest] = [dimAt(dims, 0), ...window];
  const spatial = rest.map((_, axis) => axis + 1);
  const rows = batch * rest.reduce((product, { output }) => product * output, 1);
  const order = [1, 0, ...spatial.map((axis) => axis + 1)];
  const left = reshapeTo(builder, transpose(builder, dy, order), [dimAt(weight, 0), rows]);
  let right = transpose(builder, x, [0, ...spatial.map((axis) => axis + 1), 1]); // [N, ..., C]
  const before = window.map((axis) => axis.before);
  const after = window.map((axis) =>
    Math.max(0, (axis.output - 1) * axis.stride + spanOf(axis) - axis.before - axis.input),
  );
  if ([...before, ...after].some((count) => count > 0)) {
    right = builder.node('Pad', [right, builder.ints([0, ...before, 0, 0, ...after, 0])]);
  }
  let taps: number[][] = [[]];
  for (const { kernel } of window) {
    taps = taps.flatMap((tap) => Array.from({ length: kernel }, (_, next) => [...tap, next]));
  }
  const whole = window.every(
    (axis, at) =>
      axis.stride === 1 && axis.input + dimAt(before, at) + dimAt(after, at) === axis.output,
  );
  const parts = taps.map((tap) => {
    const starts = window.map(({ dilation }, axis) => dimAt(tap, axis) * dilation);
    const under = whole
      ? right
      : builder.node('Slice', [
          right,
          builder.ints(starts),
          builder.ints(
            window.map(
              ({ output, stride }, axis) => dimAt(starts, axis) + (output - 1) * stride + 1,
            ),
          ),
          builder.ints(spatial),
          builder.ints(window.map(({ stride }) => stride)),
        ]);
    const columns = reshapeTo(builder, under, [rows, dimAt(weight, 1)]);
    const product = builder.node('MatMul', [left, columns]); // [M, C]
    return reshapeTo(builder, product, [...weight.slice(0, 2), 1]);
  });
  const all =
    parts.length === 1 ? (parts[0] ?? '') : builder.node('Concat', parts, { axis: attr.int(2) });
  return reshapeTo(builder, all, weight);
}

/**
 * dW[m,c] is X[·,c] correlated with dY[·,m] over images and positions: a convolution with images as channels,
 * dY as the kernel, and stride and dilation exchanged. Channel c of every group makes one image, so that all
 * groups are one grouped convolution.
 */
function byCorrelation({ builder, dy, x, dims, weight, window, group }: Call): string {
  const [batch, , ...space] = dims as [number, number, ...number[]];
  const perGroup = dimAt(weight, 1);
  const swap = [1, 0, ...space.map((_, axis) => axis + 2)];
  let images: string; // [C / group, group · N, ...]
  if (group === 1) images = transpose(builder, x, swap);
  else {
    const split = reshapeTo(builder, x, [batch, group, perGroup, ...space]);
    const turned = transpose(builder, split, [2, 1, 0, ...space.map((_, axis) => axis + 3)]);
    images = reshapeTo(builder, turned, [perGroup, group * batch, ...space]);
  }
  // What padding would cut off at the end is cut from the result instead.
  const ends = window.map(({ after }) => Math.max(0, after));
  const correlation = builder.node('Conv', [images, transpose(builder, dy, swap)], {
    kernel_shape: attr.ints(window.map(({ output }) => output)),
    strides: attr.ints(window.map(({ dilation }) => dilation)),
    dilations: attr.ints(window.map(({ stride }) => stride)),
    pads: attr.ints([...window.map(({ before }) => before), ...ends]),
    group: attr.int(group),
  }); // [C / group, M, >= kernel ...]
  const exact = window.every((axis, index) => {
    const span = spanOf({ kernel: axis.output, dilation: axis.stride });
    const room = axis.input + axis.before + dimAt(ends, index) - span;
    return Math.floor(room / axis.dilation) + 1 === axis.kernel;
  });
  const cut = exact
    ? correlation
    : builder.node('Slice', [
        correlation,
        builder.ints(window.map(() => 0)),
        builder.ints(window.map(({ kernel }) => kernel)),
        builder.ints(window.map((_, axis) => axis + 2)),
      ]);
  return transpose(builder, cut, swap); // [M, C / group, kernel ...]
}

const expand: Expansion = ({ node, builder, type }) => {
  const [dy, x] = node.inputs;
  if (!dy || !x) return [];
  const weight = intsAttribute(node, 'weight_shape');
  const dims = type(x).dims;
  const window = windowOf(node, dims, weight.slice(2));
  const group = intAttribute(node, 'group', 1);
  const call = { builder, dy, x, dims, weight, window, group };
  const products =
    group === 1 && dimAt(weight, 1) >= FEW_CHANNELS && sizeOf(weight.slice(2)) <= MOST_TAPS;
  return [products ? byTaps(call) : byCorrelation(call)];
};

export const convGradWeightSpec: OpSpec = {
  name: 'ConvGradWeight',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => [
    { dtype: inputType(context, 0).dtype, dims: intsAttribute(context.node, 'weight_shape') },
  ],
  reference: convGradWeightReference,
  gradient: convGradWeightGradient,
  expand,
};
