/**
 * Gradients of activations that are one operator, `<name>Grad`: (dY, x) -> dX = dY · f′(x), with the attributes of
 * the activation; all three of one shape. `SLOPES` is a table as that of the binary operators, with dY as `a` and x
 * as `b`, so that whoever has kernels for those has them for these.
 */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { emitter } from '../gradients';
import { makeNode } from '../nodes';
import { checkInputDims, inputType } from '../shapes';
import { inputValue, makeValue } from '../value';
import { ACTIVATIONS } from './activations';
import type { BinaryEntry, BinaryOp } from './binary';
import { slopeName } from './unary';
import type { Parameters, UnaryEntry } from './unary';
import { parametersOf, resolve } from './unary-spec';

/** A literal that WGSL takes for a float. */
const literal = (value: number): string =>
  `(${Number.isInteger(value) ? value.toFixed(1) : String(Math.fround(value))})`;

/** The product with dY; parameters stand in the expression as numbers. */
function product(entry: UnaryEntry, node: Node): BinaryOp {
  const op = resolve(entry, node);
  const parameters = parametersOf(op, node);
  const { slope } = op;
  const written = Object.keys(op.parameters ?? {}).reduce(
    (text, name) =>
      text.replaceAll(
        new RegExp(`\\b${name}\\b`, 'g'),
        literal(parameters[name as keyof Parameters]),
      ),
    slope?.wgsl ?? '0.0',
  );
  return {
    compute: (dy, x) => dy * (slope?.compute(x, parameters) ?? 0),
    wgsl: `a * (${written})`,
  };
}

const ENTRIES = Object.entries(ACTIVATIONS).filter(
  ([name, entry]) => resolve(entry, makeNode(name, [])).slope !== undefined,
);

export const SLOPES: Readonly<Record<string, BinaryEntry>> = Object.fromEntries(
  ENTRIES.map(([name, entry]) => [slopeName(name), (node: Node) => product(entry, node)]),
);

function slopeSpec(name: string, entry: UnaryEntry): OpSpec {
  return {
    name: slopeName(name),
    domain: TRAINING_DOMAIN,
    inputs: [2, 2],
    infer: (context) => {
      const x = inputType(context, 1);
      checkInputDims(context, 0, 'dY', x.dims);
      return [x];
    },
    reference: (node, inputs) => {
      const dy = inputValue(node, inputs, 0);
      const x = inputValue(node, inputs, 1);
      const { compute } = product(entry, node);
      const data = dy.data.map((g, i) => compute(g, x.data[i] as number));
      return [makeValue(x.dtype, x.dims, data)];
    },
    expand: ({ node, builder, type }) => {
      const [dy = '', x = ''] = node.inputs;
      const op = resolve(entry, node);
      if (typeof op.gradient !== 'function') return [];
      // Written without y, which is not kept.
      return [op.gradient(emitter(builder, type(x).dtype), dy, x, '', parametersOf(op, node))];
    },
  };
}

export const slopeSpecs: readonly OpSpec[] = ENTRIES.map(([name, entry]) => slopeSpec(name, entry));
