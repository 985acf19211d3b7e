/**
 * Scan: a body run over the slices of its inputs along an axis, forwards or backwards, carrying states and stacking
 * what it gives. The number of rounds is a length, so it can be written out.
 */
import { attr } from '../../onnx/graph';
import type { Dim, Node, TensorType } from '../../onnx/graph';
import { graphAttribute, intAttribute, intsAttribute, unsupported } from '../attributes';
import type { ExpansionContext, OpSpec, Value } from '../define';
import { aroundAxis, dimAt, inputType, normalizeAxis, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';
import { inliner } from './inline';
import { stackNames, stackValues } from './stack';

interface Scanned {
  /** Carried states come first among inputs and outputs. */
  readonly states: number;
  /** Of each scanned input. */
  readonly axes: readonly number[];
  readonly backwards: readonly boolean[];
  /** Of each stacked output: as given, since its rank is the body's affair. */
  readonly outputAxes: readonly number[];
  readonly prepended: readonly boolean[];
}

function scannedOf(node: Node, ranks: readonly number[]): Scanned {
  const count = intAttribute(node, 'num_scan_inputs');
  const states = node.inputs.length - count;
  const stacked = graphAttribute(node, 'body').outputs.length - states;
  if (count < 1 || states < 0 || stacked < 0) {
    throw unsupported(node, `scans ${count} of ${node.inputs.length} inputs`);
  }
  const zeros = (length: number) => new Array<number>(length).fill(0);
  const ints = (name: string, length: number) => intsAttribute(node, name, zeros(length));
  return {
    states,
    axes: ints('scan_input_axes', count).map((axis, index) =>
      normalizeAxis(node, axis, dimAt(ranks, states + index)),
    ),
    backwards: ints('scan_input_directions', count).map((flag) => flag !== 0),
    outputAxes: ints('scan_output_axes', stacked),
    prepended: ints('scan_output_directions', stacked).map((flag) => flag !== 0),
  };
}

/** The one length that all scanned inputs have; a symbol where none is fixed. */
function roundsOf<T extends Dim>(node: Node, lengths: readonly T[]): T {
  const [first] = lengths;
  const fixed = lengths.find((length) => typeof length === 'number');
  if (lengths.some((length) => typeof length === 'number' && length !== fixed)) {
    throw shapeError(node, 'the scanned inputs', 'of one length', shapeText(lengths));
  }
  return fixed ?? (first as T);
}

const without = <T>(dims: readonly T[], axis: number): T[] => dims.filter((_, at) => at !== axis);

/** Position `at` of an axis, which goes away. */
function slice(x: Value, axis: number, at: number): Value {
  const { outer, length, inner } = aroundAxis(x.dims, axis);
  const y = makeValue(x.dtype, without(x.dims, axis));
  for (let o = 0; o < outer; o++) {
    const from = (o * length + at) * inner;
    y.data.set(x.data.subarray(from, from + inner), o * inner);
  }
  return y;
}

function expand({ node, builder, type }: ExpansionContext): readonly string[] {
  const types = node.inputs.map(type);
  const scanned = scannedOf(
    node,
    types.map(({ dims }) => dims.length),
  );
  const { states, axes, backwards, outputAxes, prepended } = scanned;
  const rounds = dimAt(types[states]?.dims ?? [], axes[0] ?? 0);
  if (rounds === 0) throw unsupported(node, 'scans nothing');
  const run = inliner(builder, node, graphAttribute(node, 'body'));
  const parts = axes.map((axis, index) => {
    const x = node.inputs[states + index] ?? '';
    const ones = Array.from({ length: rounds }, () => 1);
    if (rounds === 1) return [x];
    return builder.nodes('Split', [x, builder.ints(ones)], rounds, { axis: attr.int(axis) });
  });
  let carried = node.inputs.slice(0, states);
  const stacks: string[][] = outputAxes.map(() => []);
  for (let round = 0; round < rounds; round++) {
    const elements = parts.map((names, index) => {
      const at = backwards[index] ? rounds - 1 - round : round;
      return builder.node('Squeeze', [names[at] ?? '', builder.ints([axes[index] ?? 0])]);
    });
    const outputs = run([...carried, ...elements]);
    carried = outputs.slice(0, states);
    outputs.slice(states).forEach((name, index) => stacks[index]?.push(name));
  }
  return [
    ...carried,
    ...stacks.map((names, index) => {
      const ordered = prepended[index] ? names.toReversed() : names;
      const rank = type(node.outputs[states + index] ?? '').dims.length;
      return stackNames(builder, ordered, normalizeAxis(node, outputAxes[index] ?? 0, rank));
    }),
  ];
}

export const scanSpec: OpSpec = {
  name: 'Scan',
  domain: '',
  inputs: [1, Infinity],
  infer: (context) => {
    const { node } = context;
    const types = node.inputs.map((_, index) => inputType(context, index));
    const { states, axes, outputAxes } = scannedOf(
      node,
      types.map(({ dims }) => dims.length),
    );
    const lengths = axes.map((axis, index) => dimAt(types[states + index]?.dims ?? [], axis));
    const rounds = roundsOf(node, lengths);
    const elements = types.slice(states).map(({ dtype, dims }, index): TensorType => ({
      dtype,
      dims: without(dims, axes[index] ?? 0),
    }));
    const made = context.subgraph(graphAttribute(node, 'body'), [
      ...types.slice(0, states),
      ...elements,
    ]);
    const stacked = made.slice(states).map(({ dtype, dims }, index): TensorType => {
      const axis = normalizeAxis(node, outputAxes[index] ?? 0, dims.length + 1);
      return { dtype, dims: [...dims.slice(0, axis), rounds, ...dims.slice(axis)] };
    });
    return [...made.slice(0, states), ...stacked];
  },
  reference: (node, inputs, scope) => {
    const body = graphAttribute(node, 'body');
    const values = inputs.map((_, index) => inputValue(node, inputs, index));
    const { states, axes, backwards, outputAxes, prepended } = scannedOf(
      node,
      values.map(({ dims }) => dims.length),
    );
    const sequences = values.slice(states);
    const lengths = sequences.map(({ dims }, index) => dimAt(dims, axes[index] ?? 0));
    const rounds = roundsOf(node, lengths);
    let carried = values.slice(0, states);
    const stacks: Value[][] = outputAxes.map(() => []);
    for (let round = 0; round < rounds; round++) {
      const elements = sequences.map((x, index) =>
        slice(x, axes[index] ?? 0, backwards[index] ? rounds - 1 - round : round),
      );
      const outputs = scope.run(body, [...carried, ...elements]);
      carried = outputs.slice(0, states);
      outputs.slice(states).forEach((value, index) => stacks[index]?.push(value));
    }
    const stacked = stacks.map((made, index) => {
      const { dtype, dims } = body.outputs[states + index] ?? { dtype: 'float32', dims: [] };
      const none = { dtype, dims: dims.map((dim) => (typeof dim === 'number' ? dim : 0)) };
      const rank = (made[0]?.dims ?? none.dims).length + 1;
      const axis = normalizeAxis(node, outputAxes[index] ?? 0, rank);
      return stackValues(prepended[index] ? made.toReversed() : made, axis, none);
    });
    return [...carried, ...stacked];
  },
  expand,
};
