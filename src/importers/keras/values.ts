/**
 * Values while a Keras model becomes ONNX. Keras keeps channels last; the studio keeps them first. So a value
 * with rows, columns and channels is physically [batch, channels, rows, columns] from the input on, and is turned
 * only where Keras's own order of elements matters (Flatten, Reshape, Dense over channels).
 */
import { sizeOf } from '../../core/dtype';
import type { GraphBuilder } from '../../onnx/builder';
import { attr } from '../../onnx/graph';
import type { Tensor } from '../../onnx/graph';
import type { LayerConfig } from './files';
import { broken } from './files';

/** Length of an axis; null where the model leaves it open. */
export type Length = number | null;

export interface Value {
  readonly name: string;
  /** Keras's shape without the batch: [rows, columns, channels], [steps, features] or [features]. */
  readonly shape: readonly Length[];
}

export interface LayerContext {
  readonly layer: LayerConfig;
  readonly inputs: readonly Value[];
  readonly builder: GraphBuilder;
  /** A weight of this layer by its Keras name (`kernel`); undefined where the model has none. */
  weight(name: string): Tensor | undefined;
}

export type Emit = (context: LayerContext) => Value;

export function first({ inputs, layer }: LayerContext): Value {
  const [value] = inputs;
  if (value === undefined) throw broken(`the layer "${layer.name}" has no input`);
  return value;
}

/** A node named after its layer; `part` tells apart the nodes of one layer. */
export function emit(
  { builder, layer }: LayerContext,
  op: string,
  inputs: readonly string[],
  attributes: Parameters<GraphBuilder['node']>[2] = {},
  part = '',
): string {
  const wanted = part === '' ? layer.name : `${layer.name}/${part}`;
  return builder.node(op, inputs, attributes, { name: builder.freeNodeName(wanted) });
}

/** A weight as an initialiser `<layer>/<name>`; `make` changes Keras's layout into ONNX's. */
export function parameter(
  context: LayerContext,
  name: string,
  make: (tensor: Tensor) => Tensor = (tensor) => tensor,
): string | undefined {
  const tensor = context.weight(name);
  if (tensor === undefined) return undefined;
  const { builder, layer } = context;
  const key = `${layer.name}/${name}`;
  // A layer that is called twice has its weights once.
  return builder.hasInitializer(key) ? key : builder.initializer(key, make(tensor));
}

export function requireParameter(
  context: LayerContext,
  name: string,
  make?: (tensor: Tensor) => Tensor,
): string {
  const found = parameter(context, name, make);
  if (found !== undefined) return found;
  throw broken(`the weights of the layer "${context.layer.name}" lack its ${name}`, {
    layer: context.layer.name,
    weight: name,
  });
}

/** Keras's axis (with the batch, negative from the end) as the axis of the ONNX value. */
export function onnxAxis(axis: number, shape: readonly Length[]): number {
  const rank = shape.length + 1;
  const positive = axis < 0 ? axis + rank : axis;
  if (shape.length !== 3 || positive === 0) return positive;
  return positive === 3 ? 1 : positive + 1;
}

/** The value with its elements in Keras's order. */
export function channelsLast(context: LayerContext, value: Value, part = 'channels_last'): string {
  if (value.shape.length !== 3) return value.name;
  return emit(context, 'Transpose', [value.name], { perm: attr.ints([0, 2, 3, 1]) }, part);
}

/** The other way: a value in Keras's order as the studio keeps it. */
export function channelsFirst(context: LayerContext, value: Value, part = ''): Value {
  if (value.shape.length !== 3) return value;
  const name = emit(context, 'Transpose', [value.name], { perm: attr.ints([0, 3, 1, 2]) }, part);
  return { name, shape: value.shape };
}

/** `tensor` with its axes in another order. */
export function permuted(tensor: Tensor, order: readonly number[]): Tensor {
  const { dims, data } = tensor;
  if (!(data instanceof Float32Array)) throw broken('a weight is not float32');
  const strides = dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
  const to = order.map((axis) => dims[axis] ?? 1);
  const steps = order.map((axis) => strides[axis] ?? 0);
  const result = new Float32Array(data.length);
  const index = to.map(() => 0);
  let from = 0;
  for (let at = 0; at < result.length; at++) {
    result[at] = data[from] ?? 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const step = steps[axis] ?? 0;
      index[axis] = (index[axis] ?? 0) + 1;
      from += step;
      if ((index[axis] ?? 0) < (to[axis] ?? 1)) break;
      from -= step * (to[axis] ?? 1);
      index[axis] = 0;
    }
  }
  return { dtype: 'float32', dims: to, data: result };
}
