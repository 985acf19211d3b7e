/** What the normalisations share: groups of elements brought to mean 0 and variance 1, as numbers and as nodes. */
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import type { DType } from '../../core/dtype';
import { emitter } from '../gradients';

export interface Standardised<T> {
  readonly y: T;
  readonly mean: T;
  /** 1 / √(variance + ε), with the biased variance. */
  readonly inverse: T;
}

/** Each run of `length` elements by itself. Without `centre` the mean square takes the variance's place. */
export function standardise(
  x: Float64Array,
  length: number,
  epsilon: number,
  centre = true,
): Standardised<Float64Array> {
  const groups = length === 0 ? 0 : x.length / length;
  const y = new Float64Array(x.length);
  const mean = new Float64Array(groups);
  const inverse = new Float64Array(groups);
  for (let group = 0; group < groups; group++) {
    const from = group * length;
    let sum = 0;
    if (centre) for (let i = 0; i < length; i++) sum += x[from + i] as number;
    const mu = sum / length;
    let squares = 0;
    for (let i = 0; i < length; i++) squares += ((x[from + i] as number) - mu) ** 2;
    const scale = 1 / Math.sqrt(squares / length + epsilon);
    for (let i = 0; i < length; i++) y[from + i] = ((x[from + i] as number) - mu) * scale;
    mean[group] = mu;
    inverse[group] = scale;
  }
  return { y, mean, inverse };
}

/** The same as nodes, over these axes. */
export function standardisedNodes(
  builder: GraphBuilder,
  x: string,
  dtype: DType,
  axes: readonly number[],
  epsilon: number,
): Standardised<string> {
  const e = emitter(builder, dtype);
  const mean = meanOver(builder, x, axes);
  const centred = e('Sub', x, mean);
  const variance = meanOver(builder, e('Mul', centred, centred), axes);
  const inverse = e('Reciprocal', e('Sqrt', e('Add', variance, epsilon)));
  return { y: e('Mul', centred, inverse), mean, inverse };
}

export function meanOver(builder: GraphBuilder, x: string, axes: readonly number[]): string {
  return builder.node('ReduceMean', [x, builder.ints(axes)], { keepdims: attr.int(1) });
}
