/** CumSum, Trilu and ReverseSequence: what an element becomes depends on where along an axis it stands. */
import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { aroundAxis, dimAt, inputType, normalizeAxis, shapeError, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';

const cumSumSpec: OpSpec = {
  name: 'CumSum',
  domain: '',
  inputs: [2, 2],
  infer: (context) => [inputType(context, 0)],
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const given = inputValue(node, inputs, 1).data[0] as number;
    const axis = normalizeAxis(node, given, x.dims.length);
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    const exclusive = intAttribute(node, 'exclusive', 0) !== 0;
    const reverse = intAttribute(node, 'reverse', 0) !== 0;
    const y = makeValue(x.dtype, x.dims);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let step = 0; step < length; step++) {
          const position = reverse ? length - 1 - step : step;
          const at = (o * length + position) * inner + i;
          if (exclusive) y.data[at] = sum;
          sum += x.data[at] as number;
          if (!exclusive) y.data[at] = sum;
        }
      }
    }
    return [y];
  },
  gradient: ({ node, builder, outputGradients }) => {
    const [g] = outputGradients;
    const [, axis = ''] = node.inputs;
    if (!g) return [];
    return [
      builder.node('CumSum', [g, axis], {
        exclusive: attr.int(intAttribute(node, 'exclusive', 0)),
        reverse: attr.int(intAttribute(node, 'reverse', 0) === 0 ? 1 : 0),
      }),
    ];
  },
};

const triluSpec: OpSpec = {
  name: 'Trilu',
  domain: '',
  inputs: [1, 2],
  infer: (context) => {
    const type = inputType(context, 0);
    if (type.dims.length < 2) {
      throw shapeError(context.node, 'the input', 'of rank 2 or more', `rank ${type.dims.length}`);
    }
    return [type];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const k = inputs[1]?.data[0] ?? 0;
    const upper = intAttribute(node, 'upper', 1) !== 0;
    const [rows, columns] = [dimAt(x.dims, x.dims.length - 2), dimAt(x.dims, x.dims.length - 1)];
    const data = x.data.map((value, index) => {
      const beyond = (index % columns) - (Math.floor(index / columns) % rows) - k;
      return (upper ? beyond >= 0 : beyond <= 0) ? value : 0;
    });
    return [makeValue(x.dtype, x.dims, data)];
  },
  gradient: ({ node, builder, outputGradients }) => {
    const [g] = outputGradients;
    if (!g) return [];
    const upper = attr.int(intAttribute(node, 'upper', 1));
    return [builder.node('Trilu', [g, ...node.inputs.slice(1)], { upper })];
  },
};

/** Batch and time axis of a ReverseSequence: 0 and 1 in either order. */
export function sequenceAxes(node: Node): { batch: number; time: number } {
  return {
    batch: intAttribute(node, 'batch_axis', 1),
    time: intAttribute(node, 'time_axis', 0),
  };
}

const reverseSequenceSpec: OpSpec = {
  name: 'ReverseSequence',
  domain: '',
  inputs: [2, 2],
  infer: (context) => [inputType(context, 0)],
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const lengths = inputValue(node, inputs, 1);
    const { batch, time } = sequenceAxes(node);
    const strides = stridesOf(x.dims);
    const [step, row] = [dimAt(strides, time), dimAt(strides, batch)];
    const data = x.data.map((value, index) => {
      const position = Math.floor(index / step) % dimAt(x.dims, time);
      const length = lengths.data[Math.floor(index / row) % dimAt(x.dims, batch)] as number;
      if (position >= length) return value;
      return x.data[index + (length - 1 - 2 * position) * step] as number;
    });
    return [makeValue(x.dtype, x.dims, data)];
  },
  // Reversing twice changes nothing, so the rule is the operator itself.
  gradient: ({ node, builder, outputGradients }) => {
    const [g] = outputGradients;
    const [, lengths = ''] = node.inputs;
    if (!g) return [];
    return [builder.node('ReverseSequence', [g, lengths], Object.fromEntries(node.attributes))];
  },
};

export const positionSpecs: readonly OpSpec[] = [cumSumSpec, triluSpec, reverseSequenceSpec];
