/** Every Keras layer that is read, by its class name. A layer not listed here is refused by name. */
import { attr } from '../../onnx/graph';
import type { Attribute } from '../../onnx/graph';
import { activate } from './activations';
import { broken } from './files';
import { flag, number, odd, refuseChannelsFirst } from './options';
import {
  channelsFirst,
  channelsLast,
  emit,
  first,
  onnxAxis,
  parameter,
  requireParameter,
} from './values';
import type { Emit, LayerContext, Length, Value } from './values';
import {
  convolution,
  depthwiseConvolution,
  globalPool,
  pool,
  separableConvolution,
  transposedConvolution,
} from './windows';

const same = (context: LayerContext): Value => first(context);

const dense: Emit = (context) => {
  const value = first(context);
  const { layer } = context;
  const kernel = requireParameter(context, 'kernel');
  const bias = flag(layer, 'use_bias', true) ? [requireParameter(context, 'bias')] : [];
  const units = context.weight('kernel')?.dims[1] ?? null;
  const { activation } = layer.config;
  if (value.shape.length === 1) {
    const name = emit(context, 'Gemm', [value.name, kernel, ...bias]);
    return activate(context, { name, shape: [units] }, activation);
  }
  const product = emit(context, 'MatMul', [channelsLast(context, value), kernel]);
  const name = bias.length === 0 ? product : emit(context, 'Add', [product, ...bias], {}, 'add');
  const shape = [...value.shape.slice(0, -1), units];
  return activate(context, channelsFirst(context, { name, shape }, 'channels_first'), activation);
};

const flatten: Emit = (context) => {
  const value = first(context);
  const name = emit(context, 'Flatten', [channelsLast(context, value)], { axis: attr.int(1) });
  const size = value.shape.reduce<Length>((all, length) => times(all, length), 1);
  return { name, shape: [size] };
};

function times(a: Length, b: Length): Length {
  return a === null || b === null ? null : a * b;
}

const reshape: Emit = (context) => {
  const value = first(context);
  const target = context.layer.config['target_shape'];
  if (!Array.isArray(target) || !target.every((item) => Number.isSafeInteger(item))) {
    throw odd(context.layer.name, 'target_shape', target);
  }
  const dims = target as number[];
  const shape = emit(
    context,
    'Reshape',
    [channelsLast(context, value), context.builder.ints([0, ...dims])],
    {},
    'reshape',
  );
  const total = value.shape.reduce<Length>((all, length) => times(all, length), 1);
  const rest = dims.filter((dim) => dim >= 0).reduce((all, dim) => all * dim, 1);
  const known = dims.map((dim): Length => (dim >= 0 ? dim : total === null ? null : total / rest));
  return channelsFirst(context, { name: shape, shape: known }, 'channels_first');
};

const batchNorm: Emit = (context) => {
  const value = first(context);
  const { layer } = context;
  const axis = layer.config['axis'] ?? -1;
  const last = Array.isArray(axis) ? (axis as unknown[])[0] : axis;
  if (last !== -1 && last !== value.shape.length) throw odd(layer.name, 'axis', axis);
  const mean = requireParameter(context, 'moving_mean');
  const variance = requireParameter(context, 'moving_variance');
  const dims = context.weight('moving_mean')?.dims ?? [];
  const plain = (fill: number) => context.builder.constant('float32', dims, filled(dims, fill));
  const scale = parameter(context, 'gamma') ?? plain(1);
  const shift = parameter(context, 'beta') ?? plain(0);
  const attributes = {
    epsilon: attr.float(number(layer, 'epsilon', 1e-3)),
    momentum: attr.float(number(layer, 'momentum', 0.99)),
  };
  const parts = [scale, shift, mean, variance];
  if (value.shape.length !== 2) {
    const name = emit(context, 'BatchNormalization', [value.name, ...parts], attributes);
    return { ...value, name };
  }
  const perm = { perm: attr.ints([0, 2, 1]) };
  const turned = emit(context, 'Transpose', [value.name], perm, 'channels_first');
  const normal = emit(context, 'BatchNormalization', [turned, ...parts], attributes);
  return { ...value, name: emit(context, 'Transpose', [normal], perm, 'channels_last') };
};

function filled(dims: readonly number[], value: number): number[] {
  return Array.from({ length: dims[0] ?? 0 }, () => value);
}

const layerNorm: Emit = (context) => {
  const value = first(context);
  const { layer } = context;
  const dims = context.weight('gamma')?.dims ?? context.weight('beta')?.dims ?? [];
  const scale =
    parameter(context, 'gamma') ?? context.builder.constant('float32', dims, filled(dims, 1));
  const shift = parameter(context, 'beta');
  const inputs = [channelsLast(context, value), scale, ...(shift === undefined ? [] : [shift])];
  const name = emit(context, 'LayerNormalization', inputs, {
    axis: attr.int(-1),
    epsilon: attr.float(number(layer, 'epsilon', 1e-3)),
  });
  return channelsFirst(context, { name, shape: value.shape }, 'channels_first');
};

const relu: Emit = (context) => {
  const value = first(context);
  const { layer, builder } = context;
  const slope = number(layer, 'negative_slope', 0);
  if (number(layer, 'threshold', 0) !== 0)
    throw odd(layer.name, 'threshold', layer.config['threshold']);
  const most = layer.config['max_value'] ?? null;
  let name = value.name;
  if (slope !== 0) name = emit(context, 'LeakyRelu', [name], { alpha: attr.float(slope) });
  if (most === null) return { ...value, name: slope === 0 ? emit(context, 'Relu', [name]) : name };
  const least = slope === 0 ? builder.scalar(0) : '';
  return {
    ...value,
    name: emit(context, 'Clip', [name, least, builder.scalar(Number(most))], {}, 'clip'),
  };
};

function oneNode(
  op: string,
  attributes: (context: LayerContext) => Record<string, Attribute>,
): Emit {
  return (context) => {
    const value = first(context);
    return { ...value, name: emit(context, op, [value.name], attributes(context)) };
  };
}

/** Add, Multiply, … of any number of inputs. */
function merge(op: 'Add' | 'Mul' | 'Sub' | 'Max' | 'Min' | 'Mean'): Emit {
  return (context) => {
    const names = context.inputs.map(({ name }) => name);
    const value = first(context);
    if (op === 'Max' || op === 'Min' || op === 'Mean')
      return { ...value, name: emit(context, op, names) };
    const name = names.reduce((total, next) => emit(context, op, [total, next]));
    const widest = context.inputs.reduce((a, b) => (b.shape.length > a.shape.length ? b : a));
    return { shape: widest.shape, name };
  };
}

const concatenate: Emit = (context) => {
  const value = first(context);
  const axis = number(context.layer, 'axis', -1);
  const kerasAxis = (axis < 0 ? axis + value.shape.length + 1 : axis) - 1;
  const total = context.inputs.reduce<Length>((all, { shape }) => {
    const length = shape[kerasAxis] ?? null;
    return all === null || length === null ? null : all + length;
  }, 0);
  const names = context.inputs.map(({ name }) => name);
  const attributes = { axis: attr.int(onnxAxis(axis, value.shape)) };
  const shape = value.shape.map((length, index) => (index === kerasAxis ? total : length));
  return { name: emit(context, 'Concat', names, attributes), shape };
};

/** `padding` or `cropping`: n, [rows, columns] or [[top, bottom], [left, right]]. */
function margins(context: LayerContext, key: string): readonly (readonly [number, number])[] {
  const { layer } = context;
  const given = layer.config[key] ?? 1;
  const list: unknown[] = Array.isArray(given) ? given : [given, given];
  return list.map((item) => {
    const [before, after] = (Array.isArray(item) ? item : [item, item]) as unknown[];
    if (typeof before === 'number' && typeof after === 'number') return [before, after] as const;
    throw odd(layer.name, key, given);
  });
}

function pad(sign: 1 | -1, key: string): Emit {
  return (context) => {
    const value = first(context);
    refuseChannelsFirst(context.layer);
    if (value.shape.length !== 3) throw broken(`the layer "${context.layer.name}" wants pictures`);
    const [rows = [0, 0], columns = [0, 0]] = margins(context, key);
    const pads = [0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]].map((n) => n * sign);
    const name = emit(context, 'Pad', [value.name, context.builder.ints(pads)]);
    const [height = null, width = null, channels = null] = value.shape;
    const grown = (length: Length, [a, b]: readonly [number, number]): Length =>
      length === null ? null : length + sign * (a + b);
    return { name, shape: [grown(height, rows), grown(width, columns), channels] };
  };
}

const upSampling: Emit = (context) => {
  const value = first(context);
  const { layer, builder } = context;
  refuseChannelsFirst(layer);
  const size = layer.config['size'] ?? [2, 2];
  const [rows, columns] = (Array.isArray(size) ? size : [size, size]) as unknown[];
  if (typeof rows !== 'number' || typeof columns !== 'number') throw odd(layer.name, 'size', size);
  const linear = layer.config['interpolation'] === 'bilinear';
  const name = emit(
    context,
    'Resize',
    [value.name, '', builder.constant('float32', [4], [1, 1, rows, columns])],
    {
      mode: attr.string(linear ? 'linear' : 'nearest'),
      coordinate_transformation_mode: attr.string(linear ? 'half_pixel' : 'asymmetric'),
      ...(linear ? {} : { nearest_mode: attr.string('floor') }),
    },
  );
  const [height = null, width = null, channels = null] = value.shape;
  return { name, shape: [times(height, rows), times(width, columns), channels] };
};

const rescaling: Emit = (context) => {
  const value = first(context);
  const { layer, builder } = context;
  const scale = builder.scalar(number(layer, 'scale', 1));
  const offset = builder.scalar(number(layer, 'offset', 0));
  const scaled = emit(context, 'Mul', [value.name, scale], {}, 'scale');
  return { ...value, name: emit(context, 'Add', [scaled, offset], {}, 'offset') };
};

const embedding: Emit = (context) => {
  const value = first(context);
  const table = requireParameter(context, 'embeddings');
  const codes = emit(context, 'Cast', [value.name], { to: attr.int(7) }, 'codes');
  const width = context.weight('embeddings')?.dims[1] ?? null;
  return { name: emit(context, 'Gather', [table, codes]), shape: [...value.shape, width] };
};

const prelu: Emit = (context) => {
  const value = first(context);
  const slope = requireParameter(context, 'alpha');
  const onto = channelsLast(context, value);
  const name = emit(context, 'PRelu', [onto, slope]);
  return channelsFirst(context, { name, shape: value.shape }, 'channels_first');
};

const softmax: Emit = (context) => {
  const value = first(context);
  const axis = attr.int(onnxAxis(number(context.layer, 'axis', -1), value.shape));
  return { ...value, name: emit(context, 'Softmax', [value.name], { axis }) };
};

export const LAYERS: ReadonlyMap<string, Emit> = new Map<string, Emit>([
  ['Dense', dense],
  ['Flatten', flatten],
  ['Reshape', reshape],
  [
    'Activation',
    (context) => activate(context, first(context), context.layer.config['activation']),
  ],
  ['ReLU', relu],
  [
    'LeakyReLU',
    oneNode('LeakyRelu', ({ layer }) => ({ alpha: attr.float(number(layer, 'alpha', 0.3)) })),
  ],
  ['ELU', oneNode('Elu', ({ layer }) => ({ alpha: attr.float(number(layer, 'alpha', 1)) }))],
  ['PReLU', prelu],
  ['Softmax', softmax],
  ['Dropout', same],
  ['SpatialDropout1D', same],
  ['SpatialDropout2D', same],
  ['GaussianNoise', same],
  ['GaussianDropout', same],
  ['AlphaDropout', same],
  ['ActivityRegularization', same],
  ['BatchNormalization', batchNorm],
  ['BatchNormalizationV1', batchNorm],
  ['LayerNormalization', layerNorm],
  ['Conv1D', convolution(1)],
  ['Conv2D', convolution(2)],
  ['DepthwiseConv2D', depthwiseConvolution],
  ['SeparableConv2D', separableConvolution],
  ['Conv2DTranspose', transposedConvolution],
  ['MaxPooling1D', pool('MaxPool', 1)],
  ['MaxPooling2D', pool('MaxPool', 2)],
  ['AveragePooling1D', pool('AveragePool', 1)],
  ['AveragePooling2D', pool('AveragePool', 2)],
  ['GlobalMaxPooling1D', globalPool('ReduceMax', 1)],
  ['GlobalMaxPooling2D', globalPool('ReduceMax', 2)],
  ['GlobalAveragePooling1D', globalPool('ReduceMean', 1)],
  ['GlobalAveragePooling2D', globalPool('ReduceMean', 2)],
  ['ZeroPadding2D', pad(1, 'padding')],
  ['Cropping2D', pad(-1, 'cropping')],
  ['UpSampling2D', upSampling],
  ['Add', merge('Add')],
  ['Subtract', merge('Sub')],
  ['Multiply', merge('Mul')],
  ['Maximum', merge('Max')],
  ['Minimum', merge('Min')],
  ['Average', merge('Mean')],
  ['Concatenate', concatenate],
  ['Rescaling', rescaling],
  ['Embedding', embedding],
]);
