/** The activations that RNN, GRU and LSTM may name, as functions and as nodes. */
import { ownValue } from '../../core/own-value';
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import type { Node } from '../../onnx/graph';
import { floatsAttribute, stringsAttribute, unsupported } from '../attributes';

export interface Activation {
  /** The same name and numbers give the same key: such gates can be computed in one go. */
  readonly key: string;
  readonly apply: (x: number) => number;
  readonly emit: (builder: GraphBuilder, x: string) => string;
}

interface Kind {
  /** Defaults of the numbers that this one takes; absent are not taken from the node's lists either. */
  readonly alpha?: number;
  readonly beta?: number;
  readonly apply: (x: number, alpha: number, beta: number) => number;
  readonly emit: (builder: GraphBuilder, x: string, alpha: number, beta: number) => string;
}

const plain =
  (op: string): Kind['emit'] =>
  (builder, x) =>
    builder.node(op, [x]);
const withAlpha =
  (op: string): Kind['emit'] =>
  (builder, x, alpha) =>
    builder.node(op, [x], { alpha: attr.float(alpha) });

const times = (builder: GraphBuilder, x: string, factor: number) =>
  factor === 1 ? x : builder.node('Mul', [x, builder.scalar(factor)]);

const KINDS: Readonly<Record<string, Kind>> = {
  relu: { apply: (x) => Math.max(0, x), emit: plain('Relu') },
  tanh: { apply: Math.tanh, emit: plain('Tanh') },
  sigmoid: { apply: (x) => 1 / (1 + Math.exp(-x)), emit: plain('Sigmoid') },
  softsign: { apply: (x) => x / (1 + Math.abs(x)), emit: plain('Softsign') },
  softplus: {
    apply: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    emit: plain('Softplus'),
  },
  affine: {
    alpha: 1,
    beta: 0,
    apply: (x, alpha, beta) => alpha * x + beta,
    emit: (builder, x, alpha, beta) => {
      const scaled = times(builder, x, alpha);
      return beta === 0 ? scaled : builder.node('Add', [scaled, builder.scalar(beta)]);
    },
  },
  leakyrelu: {
    alpha: 0.01,
    apply: (x, alpha) => (x >= 0 ? x : alpha * x),
    emit: withAlpha('LeakyRelu'),
  },
  thresholdedrelu: {
    alpha: 1,
    apply: (x, alpha) => (x > alpha ? x : 0),
    emit: withAlpha('ThresholdedRelu'),
  },
  scaledtanh: {
    alpha: 1,
    beta: 1,
    apply: (x, alpha, beta) => alpha * Math.tanh(beta * x),
    emit: (builder, x, alpha, beta) =>
      times(builder, builder.node('Tanh', [times(builder, x, beta)]), alpha),
  },
  hardsigmoid: {
    alpha: 0.2,
    beta: 0.5,
    apply: (x, alpha, beta) => Math.min(1, Math.max(0, alpha * x + beta)),
    emit: (builder, x, alpha, beta) =>
      builder.node('HardSigmoid', [x], { alpha: attr.float(alpha), beta: attr.float(beta) }),
  },
  elu: {
    alpha: 1,
    apply: (x, alpha) => (x >= 0 ? x : alpha * Math.expm1(x)),
    emit: withAlpha('Elu'),
  },
};

/**
 * The node's activations in order, all directions. Each takes from `activation_alpha` and `activation_beta` only if
 * it has such a number, as the standard lets them be consumed in order.
 */
export function activationsOf(node: Node, defaults: readonly string[]): readonly Activation[] {
  const names = stringsAttribute(node, 'activations', defaults);
  if (names.length !== defaults.length) {
    throw unsupported(node, `names ${names.length} activations instead of ${defaults.length}`);
  }
  const alphas = [...floatsAttribute(node, 'activation_alpha', [])];
  const betas = [...floatsAttribute(node, 'activation_beta', [])];
  return names.map((name) => {
    const kind = ownValue(KINDS, name.toLowerCase());
    if (!kind) throw unsupported(node, `uses the activation "${name}"`);
    const alpha = kind.alpha === undefined ? 0 : (alphas.shift() ?? kind.alpha);
    const beta = kind.beta === undefined ? 0 : (betas.shift() ?? kind.beta);
    return {
      key: `${name.toLowerCase()}/${alpha}/${beta}`,
      apply: (x) => kind.apply(x, alpha, beta),
      emit: (builder, x) => kind.emit(builder, x, alpha, beta),
    };
  });
}
