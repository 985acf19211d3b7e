/**
 * Operators of two or more inputs that work element by element with broadcasting, as one table: arithmetic,
 * comparisons and logic. Gradients sum over whatever was broadcast.
 */
import type { GraphBuilder } from '../../onnx/builder';
import { isFloat } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import type { GradientContext, OpSpec, Value } from '../define';
import { sumTo } from '../gradients';
import {
  broadcastDims,
  broadcastIndex,
  broadcastStatic,
  inputType,
  sameDims,
  shapeError,
} from '../shapes';
import { inputValue, makeValue } from '../value';

interface BinaryOp {
  readonly apply: (a: number, b: number) => number;
  /** For integers, where it differs. */
  readonly applyInteger?: (a: number, b: number) => number;
  /** Result is bool. */
  readonly predicate?: true;
  /** Takes one or more inputs instead of two. */
  readonly variadic?: true;
  /** Gradients before broadcasting is undone, as thunks: only the wanted ones are built. */
  readonly gradient?: (names: {
    readonly builder: GraphBuilder;
    readonly g: string;
    readonly a: string;
    readonly b: string;
    readonly y: string;
  }) => readonly [() => string, () => string];
}

const BINARY: Readonly<Record<string, BinaryOp>> = {
  Add: { apply: (a, b) => a + b, gradient: ({ g }) => [() => g, () => g] },
  Sub: {
    apply: (a, b) => a - b,
    gradient: ({ builder, g }) => [() => g, () => builder.node('Neg', [g])],
  },
  Mul: {
    apply: (a, b) => a * b,
    gradient: ({ builder, g, a, b }) => [
      () => builder.node('Mul', [g, b]),
      () => builder.node('Mul', [g, a]),
    ],
  },
  Div: {
    apply: (a, b) => a / b,
    applyInteger: (a, b) => Math.trunc(a / b),
    gradient: ({ builder, g, b, y }) => [
      () => builder.node('Div', [g, b]),
      () => builder.node('Neg', [builder.node('Div', [builder.node('Mul', [g, y]), b])]),
    ],
  },
  Pow: {
    apply: (a, b) => Math.pow(a, b),
    gradient: ({ builder, g, a, b, y }) => [
      () => {
        const lower = builder.node('Pow', [a, builder.node('Sub', [b, builder.scalar(1)])]);
        return builder.node('Mul', [g, builder.node('Mul', [b, lower])]);
      },
      () => builder.node('Mul', [g, builder.node('Mul', [y, builder.node('Log', [a])])]),
    ],
  },
  Min: { apply: (a, b) => (a <= b || Number.isNaN(a) ? a : b), variadic: true },
  Max: { apply: (a, b) => (a >= b || Number.isNaN(a) ? a : b), variadic: true },
  Equal: { apply: (a, b) => (a === b ? 1 : 0), predicate: true },
  Greater: { apply: (a, b) => (a > b ? 1 : 0), predicate: true },
  GreaterOrEqual: { apply: (a, b) => (a >= b ? 1 : 0), predicate: true },
  Less: { apply: (a, b) => (a < b ? 1 : 0), predicate: true },
  LessOrEqual: { apply: (a, b) => (a <= b ? 1 : 0), predicate: true },
  And: { apply: (a, b) => (a && b ? 1 : 0), predicate: true },
  Or: { apply: (a, b) => (a || b ? 1 : 0), predicate: true },
};

function combine(node: Node, a: Value, b: Value, op: BinaryOp): Value {
  const apply = op.applyInteger && !isFloat(a.dtype) ? op.applyInteger : op.apply;
  const dims = broadcastStatic(node, a.dims, b.dims);
  const result = makeValue(op.predicate ? 'bool' : a.dtype, dims);
  const out = result.data;
  const { data: left } = a;
  const { data: right } = b;
  if (sameDims(a.dims, b.dims)) {
    for (let i = 0; i < out.length; i++) {
      out[i] = apply(left[i] as number, right[i] as number);
    }
    return result;
  }
  const leftIndex = broadcastIndex(a.dims, dims);
  const rightIndex = broadcastIndex(b.dims, dims);
  for (let i = 0; i < out.length; i++) {
    out[i] = apply(
      left[leftIndex[i] as number] as number,
      right[rightIndex[i] as number] as number,
    );
  }
  return result;
}

function binaryGradient(op: BinaryOp, context: GradientContext): (string | undefined)[] {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const [a, b] = node.inputs;
  const [y] = node.outputs;
  if (!op.gradient || g === undefined || a === undefined || b === undefined || y === undefined) {
    return [undefined, undefined];
  }
  const out = context.type(y).dims;
  const thunks = op.gradient({ builder, g, a, b, y });
  return [a, b].map((name, index) =>
    context.wants(index)
      ? sumTo(builder, (thunks[index] as () => string)(), out, context.type(name).dims)
      : undefined,
  );
}

/** Min and Max: the gradient goes to the first input that reached the extreme. */
function extremeGradient(context: GradientContext): (string | undefined)[] {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const [y] = node.outputs;
  if (g === undefined || y === undefined) return node.inputs.map(() => undefined);
  const out = context.type(y).dims;
  let taken: string | undefined;
  return node.inputs.map((name, index) => {
    const reaches = builder.node('Equal', [name, y]);
    const first =
      taken === undefined ? reaches : builder.node('And', [reaches, builder.node('Not', [taken])]);
    taken = taken === undefined ? reaches : builder.node('Or', [taken, reaches]);
    if (!context.wants(index)) return undefined;
    const own = builder.node('Where', [first, g, builder.scalar(0)]);
    return sumTo(builder, own, out, context.type(name).dims);
  });
}

function binarySpec(name: string, op: BinaryOp): OpSpec {
  return {
    name,
    domain: '',
    inputs: op.variadic ? [1, Infinity] : [2, 2],
    infer: (context) => {
      const first = inputType(context, 0);
      let dims = first.dims;
      for (let index = 1; index < context.node.inputs.length; index++) {
        const next = inputType(context, index);
        // Pow alone may mix base and exponent types.
        if (next.dtype !== first.dtype && name !== 'Pow') {
          throw shapeError(context.node, `input ${index}`, first.dtype, next.dtype);
        }
        dims = broadcastDims(context.node, dims, next.dims);
      }
      return [{ dtype: op.predicate ? 'bool' : first.dtype, dims }];
    },
    reference: (node, inputs) => {
      let result = inputValue(node, inputs, 0);
      for (let index = 1; index < inputs.length; index++) {
        result = combine(node, result, inputValue(node, inputs, index), op);
      }
      return [result];
    },
    ...(op.gradient && { gradient: (context: GradientContext) => binaryGradient(op, context) }),
    ...(op.variadic && { gradient: extremeGradient }),
  };
}

export const binarySpecs: readonly OpSpec[] = Object.entries(BINARY).map(([name, op]) =>
  binarySpec(name, op),
);
