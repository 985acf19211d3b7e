/** Softmax and LogSoftmax along one axis, shifted by the maximum so that nothing overflows. */
import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { GradientContext, OpSpec, Value } from '../define';
import { trainingNode } from '../gradients';
import { aroundAxis, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

export function softmax(node: Node, x: Value, log: boolean): Value {
  const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), x.dims.length);
  const { outer, length, inner } = aroundAxis(x.dims, axis);
  const result = makeValue(x.dtype, x.dims);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const base = o * length * inner + i;
      let max = -Infinity;
      for (let k = 0; k < length; k++) max = Math.max(max, x.data[base + k * inner] as number);
      let sum = 0;
      for (let k = 0; k < length; k++) sum += Math.exp((x.data[base + k * inner] as number) - max);
      const logSum = Math.log(sum);
      for (let k = 0; k < length; k++) {
        const at = base + k * inner;
        const shifted = (x.data[at] as number) - max;
        result.data[at] = log ? shifted - logSum : Math.exp(shifted) / sum;
      }
    }
  }
  return result;
}

/** softmax: SoftmaxGrad; log-softmax: g − e^y·Σ g. */
function gradient(context: GradientContext, log: boolean): readonly (string | undefined)[] {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const [y] = node.outputs;
  if (!g || !y) return [];
  const rank = context.type(y).dims.length;
  const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), rank);
  if (!log) {
    return trainingNode(builder, 'SoftmaxGrad', [g, y], [`${y}/dx`], { axis: attr.int(axis) });
  }
  const sum = builder.node('ReduceSum', [g, builder.ints([axis])], { keepdims: attr.int(1) });
  const share = builder.node('Mul', [builder.node('Exp', [y]), sum]);
  return [builder.node('Sub', [g, share])];
}

function spec(name: string, log: boolean): OpSpec {
  return {
    name,
    domain: '',
    inputs: [1, 1],
    infer: (context) => {
      const type = inputType(context, 0);
      normalizeAxis(context.node, intAttribute(context.node, 'axis', -1), type.dims.length);
      return [type];
    },
    reference: (node, inputs) => [softmax(node, inputValue(node, inputs, 0), log)],
    gradient: (context) => gradient(context, log),
  };
}

export const softmaxSpecs: readonly OpSpec[] = [spec('Softmax', false), spec('LogSoftmax', true)];
