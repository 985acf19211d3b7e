/** Operators from the table of functions of two or more inputs. Gradients sum over whatever was broadcast. */
import type { Node } from '../../onnx/graph';
import type { Expansion, GradientContext, OpSpec, Value } from '../define';
import { emitter, sumTo } from '../gradients';
import { makeNode } from '../nodes';
import {
  broadcastDims,
  broadcastIndex,
  broadcastStatic,
  inputType,
  sameDims,
  shapeError,
  shapeText,
} from '../shapes';
import { inputValue, makeValue } from '../value';
import { BINARY, functionOf } from './binary';
import type { BinaryEntry, BinaryOp } from './binary';
import { settled } from './unary-spec';

export function resolveBinary(entry: BinaryEntry, node: Node): BinaryOp {
  return typeof entry === 'function' ? entry(node) : entry;
}

function combine(node: Node, a: Value, b: Value, op: BinaryOp): Value {
  const compute = functionOf(op, a.dtype);
  const dims = broadcastStatic(node, a.dims, b.dims);
  const result = makeValue(op.predicate ? 'bool' : a.dtype, dims);
  const out = result.data;
  const { data: left } = a;
  const { data: right } = b;
  if (sameDims(a.dims, b.dims)) {
    for (let i = 0; i < out.length; i++) {
      out[i] = compute(left[i] as number, right[i] as number);
    }
    return result;
  }
  const leftIndex = broadcastIndex(a.dims, dims);
  const rightIndex = broadcastIndex(b.dims, dims);
  for (let i = 0; i < out.length; i++) {
    out[i] = compute(
      left[leftIndex[i] as number] as number,
      right[rightIndex[i] as number] as number,
    );
  }
  return result;
}

function binaryGradient(op: BinaryOp, context: GradientContext): (string | undefined)[] {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const [a, given] = node.inputs;
  const [y] = node.outputs;
  if (!op.gradient || g === undefined || a === undefined || given === undefined || !y) {
    return [undefined, undefined];
  }
  const { dtype, dims: out } = context.type(y);
  const e = emitter(builder, dtype);
  // Pow alone: an exponent of another type computes as the base's.
  const b = context.type(given).dtype === dtype ? given : e('CastLike', given, a);
  const constant = (index: number) => context.constant(index);
  const thunks = op.gradient({ e, g, a, b, y, node, constant });
  return [a, given].map((name, index) => {
    const made = context.wants(index) ? thunks[index]?.() : undefined;
    return made === undefined ? undefined : sumTo(builder, made, out, context.type(name).dims);
  });
}

/** Min and Max: the gradient goes to the first input that reached the extreme. */
function extremeGradient(context: GradientContext): (string | undefined)[] {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const [y] = node.outputs;
  if (g === undefined || y === undefined) return node.inputs.map(() => undefined);
  const { dtype, dims: out } = context.type(y);
  const e = emitter(builder, dtype);
  let taken: string | undefined;
  return node.inputs.map((name, index) => {
    const reaches = e('Equal', name, y);
    const first = taken === undefined ? reaches : e('And', reaches, e('Not', taken));
    taken = taken === undefined ? reaches : e('Or', taken, reaches);
    if (!context.wants(index)) return undefined;
    return sumTo(builder, e('Where', first, g, 0), out, context.type(name).dims);
  });
}

/** Sum and Mean in terms of Add: any number of inputs, which no single kernel takes. */
const total: Expansion = ({ node, builder, type }) => {
  const [first = ''] = node.inputs;
  const e = emitter(builder, type(first).dtype);
  const sum = node.inputs.reduce((left, right) => e('Add', left, right));
  const count = node.inputs.length;
  return [node.op === 'Mean' && count > 1 ? e('Mul', sum, 1 / count) : sum];
};

function binarySpec(name: string, entry: BinaryEntry): OpSpec {
  // What does not depend on attributes.
  const shape: Partial<BinaryOp> =
    name === 'BitShift' ? {} : resolveBinary(entry, makeNode(name, []));
  return {
    name,
    domain: '',
    inputs: shape.variadic ? [1, Infinity] : [2, 2],
    infer: (context) => {
      const { node } = context;
      const first = inputType(context, 0);
      let dims = first.dims;
      for (let index = 1; index < node.inputs.length; index++) {
        const next = inputType(context, index);
        if (next.dtype !== first.dtype && !shape.mixed) {
          throw shapeError(node, `input ${index}`, first.dtype, next.dtype);
        }
        dims = broadcastDims(node, dims, next.dims);
      }
      if (shape.oneWay && dims.length > first.dims.length) {
        throw shapeError(node, 'input 1', `one that fits ${shapeText(first.dims)}`, 'wider');
      }
      return [{ dtype: shape.predicate ? 'bool' : first.dtype, dims }];
    },
    reference: (node, inputs) => {
      const op = resolveBinary(entry, node);
      let result = inputValue(node, inputs, 0);
      for (let index = 1; index < inputs.length; index++) {
        result = combine(node, result, inputValue(node, inputs, index), op);
      }
      const { dtype, dims, data } = result;
      const { finish } = op;
      if (finish)
        return [
          makeValue(
            dtype,
            dims,
            data.map((x) => finish(x, inputs.length)),
          ),
        ];
      return [makeValue(dtype, dims, settled(dtype, data))];
    },
    ...(shape.gradient && {
      gradient: (context: GradientContext) =>
        binaryGradient(resolveBinary(entry, context.node), context),
    }),
    ...((name === 'Min' || name === 'Max') && { gradient: extremeGradient }),
    ...((name === 'Sum' || name === 'Mean') && { expand: total }),
  };
}

export const binarySpecs: readonly OpSpec[] = Object.entries(BINARY).map(([name, entry]) =>
  binarySpec(name, entry),
);
