/** Convolutions and pools. One-dimensional ones work on [batch, channels, steps] between two transposes. */
import { attr } from '../../onnx/graph';
import type { Attribute } from '../../onnx/graph';
import { activate } from './activations';
import type { LayerConfig } from './files';
import { broken } from './files';
import { flag, lengths, odd, refuseChannelsFirst, text } from './options';
import { emit, first, permuted, requireParameter } from './values';
import type { Emit, LayerContext, Length, Value } from './values';

type Attributes = Record<string, Attribute>;

interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly same: boolean;
}

function windowOf(layer: LayerConfig, axes: number, kernel: readonly number[]): Window {
  refuseChannelsFirst(layer);
  const padding = text(layer, 'padding', 'valid').toLowerCase();
  const causal = padding === 'causal';
  if (causal || (padding !== 'same' && padding !== 'valid'))
    throw odd(layer.name, 'padding', padding);
  return {
    kernel,
    strides: lengths(layer, 'strides', axes, 1),
    dilations: lengths(layer, 'dilation_rate', axes, 1),
    same: padding === 'same',
  };
}

function attributesOf({ kernel, strides, dilations, same }: Window, dilated: boolean): Attributes {
  return {
    kernel_shape: attr.ints(kernel),
    strides: attr.ints(strides),
    ...(dilated ? { dilations: attr.ints(dilations) } : {}),
    // TensorFlow puts the odd row of padding at the end.
    ...(same ? { auto_pad: attr.string('SAME_UPPER') } : {}),
  };
}

function outLength(length: Length, axis: number, window: Window): Length {
  if (length === null) return null;
  const stride = window.strides[axis] ?? 1;
  if (window.same) return Math.ceil(length / stride);
  const reach = ((window.kernel[axis] ?? 1) - 1) * (window.dilations[axis] ?? 1) + 1;
  return Math.floor((length - reach) / stride) + 1;
}

/** Spatial axes in front, channels behind, as Keras lists them. */
function shapeAfter(value: Value, window: Window, channels: Length): Length[] {
  const spatial = value.shape.slice(0, -1);
  return [...spatial.map((length, axis) => outLength(length, axis, window)), channels];
}

/** Runs `work` on the value with channels in front; only steps x features has to be turned for it. */
function spatially(context: LayerContext, value: Value, work: (x: string) => string): string {
  if (value.shape.length === 3) return work(value.name);
  const turn = { perm: attr.ints([0, 2, 1]) };
  const turned = emit(context, 'Transpose', [value.name], turn, 'channels_first');
  return emit(context, 'Transpose', [work(turned)], turn, 'channels_last');
}

function axesOf(context: LayerContext, axes: number): Value {
  const value = first(context);
  if (value.shape.length === axes + 1) return value;
  const { layer } = context;
  throw broken(
    `the layer "${layer.name}" gets ${value.shape.length + 1} axes instead of ${axes + 2}`,
    {
      layer: layer.name,
    },
  );
}

function bias(context: LayerContext): string[] {
  if (!flag(context.layer, 'use_bias', true)) return [];
  return [requireParameter(context, 'bias')];
}

/** Kernel [...spatial, in, out] -> [out, in, ...spatial]. */
const convolutionOrder = (axes: number) => [
  axes + 1,
  axes,
  ...Array.from({ length: axes }, (_, i) => i),
];

export function convolution(axes: 1 | 2): Emit {
  return (context) => {
    const value = axesOf(context, axes);
    const { layer } = context;
    const kernel = requireParameter(context, 'kernel', (w) => permuted(w, convolutionOrder(axes)));
    const dims = context.weight('kernel')?.dims ?? [];
    const window = windowOf(layer, axes, dims.slice(0, axes));
    const channels = value.shape.at(-1) ?? null;
    const groups = channels === null ? 1 : channels / (dims[axes] ?? 1);
    const attributes = { ...attributesOf(window, true), group: attr.int(groups) };
    const inputs = [kernel, ...bias(context)];
    const name = spatially(context, value, (x) =>
      emit(context, 'Conv', [x, ...inputs], attributes),
    );
    const shape = shapeAfter(value, window, dims[axes + 1] ?? null);
    return activate(context, { name, shape }, layer.config['activation']);
  };
}

/** Depthwise kernel [rows, columns, in, multiplier] -> [in * multiplier, 1, rows, columns]. */
function depthwise(context: LayerContext, key: string, part = '', last = true): Value {
  const value = axesOf(context, 2);
  const { layer } = context;
  const dims = context.weight(key)?.dims ?? [];
  const [rows = 1, columns = 1, channels = 1, multiplier = 1] = dims;
  const kernel = requireParameter(context, key, (w) => {
    const { data } = permuted(w, [2, 3, 0, 1]);
    return { dtype: 'float32', dims: [channels * multiplier, 1, rows, columns], data };
  });
  const window = windowOf(layer, 2, [rows, columns]);
  const inputs = [value.name, kernel, ...(last ? bias(context) : [])];
  const attributes = { ...attributesOf(window, true), group: attr.int(channels) };
  const name = emit(context, 'Conv', inputs, attributes, part);
  return { name, shape: shapeAfter(value, window, channels * multiplier) };
}

export const depthwiseConvolution: Emit = (context) =>
  activate(context, depthwise(context, 'depthwise_kernel'), context.layer.config['activation']);

export const separableConvolution: Emit = (context) => {
  const middle = depthwise(context, 'depthwise_kernel', 'depthwise', false);
  const pointwise = requireParameter(context, 'pointwise_kernel', (w) =>
    permuted(w, convolutionOrder(2)),
  );
  const name = emit(context, 'Conv', [middle.name, pointwise, ...bias(context)], {}, 'pointwise');
  const channels = context.weight('pointwise_kernel')?.dims[3] ?? null;
  const value = { name, shape: [...middle.shape.slice(0, 2), channels] };
  return activate(context, value, context.layer.config['activation']);
};

/** Kernel [rows, columns, out, in] -> [in, out, rows, columns]; `same` gives length times stride. */
export const transposedConvolution: Emit = (context) => {
  const value = axesOf(context, 2);
  const { layer } = context;
  const kernel = requireParameter(context, 'kernel', (w) => permuted(w, [3, 2, 0, 1]));
  const dims = context.weight('kernel')?.dims ?? [];
  const window = windowOf(layer, 2, dims.slice(0, 2));
  const missing = window.kernel.map((length, axis) => (window.strides[axis] ?? 1) - length);
  const over = missing.map((length) => Math.max(-length, 0));
  const name = emit(context, 'ConvTranspose', [value.name, kernel, ...bias(context)], {
    strides: attr.ints(window.strides),
    // The padding that the forward convolution of the same name would have had, odd row at the end.
    ...(window.same
      ? {
          pads: attr.ints([
            ...over.map((length) => Math.floor(length / 2)),
            ...over.map((length) => Math.ceil(length / 2)),
          ]),
          output_padding: attr.ints(missing.map((length) => Math.max(length, 0))),
        }
      : {}),
  });
  const spatial = value.shape.slice(0, 2).map((length, axis) => {
    if (length === null) return null;
    const stride = window.strides[axis] ?? 1;
    return window.same ? length * stride : (length - 1) * stride + (window.kernel[axis] ?? 1);
  });
  const shape = [...spatial, dims[2] ?? null];
  return activate(context, { name, shape }, layer.config['activation']);
};

export function pool(op: 'MaxPool' | 'AveragePool', axes: 1 | 2): Emit {
  return (context) => {
    const value = axesOf(context, axes);
    const { layer } = context;
    const kernel = lengths(layer, 'pool_size', axes, 2);
    const given = layer.config['strides'] ?? kernel;
    const config = { ...layer.config, strides: given };
    const window = windowOf({ ...layer, config }, axes, kernel);
    const attributes = attributesOf(window, false);
    const name = spatially(context, value, (x) => emit(context, op, [x], attributes));
    return { name, shape: shapeAfter(value, window, value.shape.at(-1) ?? null) };
  };
}

export function globalPool(op: 'ReduceMean' | 'ReduceMax', axes: 1 | 2): Emit {
  return (context) => {
    const value = axesOf(context, axes);
    refuseChannelsFirst(context.layer);
    const over = context.builder.ints(axes === 2 ? [2, 3] : [1]);
    const keep = flag(context.layer, 'keepdims', false);
    const name = emit(context, op, [value.name, over], { keepdims: attr.int(keep ? 1 : 0) });
    const channels = value.shape.at(-1) ?? null;
    return {
      name,
      shape: keep ? [...Array.from({ length: axes }, () => 1), channels] : [channels],
    };
  };
}
