/** Keras's activation functions in ONNX. Names in both spellings (Keras's and tfjs's). */
import { attr } from '../../onnx/graph';
import { shownValue } from '../../core/shown';
import { broken } from './files';
import { emit } from './values';
import type { LayerContext, Value } from './values';

type Apply = (context: LayerContext, x: string, value: Value) => string;

const one =
  (op: string): Apply =>
  (context, x) =>
    emit(context, op, [x], {}, op.toLowerCase());

const hardSigmoid: Apply = (context, x) =>
  emit(
    context,
    'HardSigmoid',
    [x],
    { alpha: attr.float(0.2), beta: attr.float(0.5) },
    'hard_sigmoid',
  );

const swish: Apply = (context, x) =>
  emit(context, 'Mul', [x, emit(context, 'Sigmoid', [x], {}, 'sigmoid')], {}, 'swish');

const ACTIVATIONS: Readonly<Record<string, Apply>> = {
  linear: (_, x) => x,
  relu: one('Relu'),
  relu6: (context, x) =>
    emit(context, 'Clip', [x, context.builder.scalar(0), context.builder.scalar(6)], {}, 'relu6'),
  sigmoid: one('Sigmoid'),
  tanh: one('Tanh'),
  softplus: one('Softplus'),
  softsign: one('Softsign'),
  selu: one('Selu'),
  mish: one('Mish'),
  exponential: one('Exp'),
  elu: (context, x) => emit(context, 'Elu', [x], { alpha: attr.float(1) }, 'elu'),
  leaky_relu: (context, x) =>
    emit(context, 'LeakyRelu', [x], { alpha: attr.float(0.2) }, 'leaky_relu'),
  gelu: one('Gelu'),
  swish,
  silu: swish,
  hard_sigmoid: hardSigmoid,
  hardSigmoid,
  softmax: (context, x, { shape }) => {
    // Over the last axis as Keras counts, which is channels where there are rows and columns.
    const axis = shape.length === 3 ? 1 : -1;
    return emit(context, 'Softmax', [x], { axis: attr.int(axis) }, 'softmax');
  },
};

/** `value` through the activation that the configuration names. */
export function activate(context: LayerContext, value: Value, activation: unknown): Value {
  const name = activation ?? 'linear';
  const apply =
    typeof name === 'string' && Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (apply === undefined) {
    throw broken(
      `the layer "${context.layer.name}" has the activation ${shownValue(name)}, which is not known here`,
      {
        layer: context.layer.name,
        activation: shownValue(name),
      },
    );
  }
  return { ...value, name: apply(context, value.name, value) };
}
