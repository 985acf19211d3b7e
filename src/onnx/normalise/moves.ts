/**
 * Settings that were attributes and became inputs, each in the opset given. The most frequent difference between old
 * files and new ones.
 */
import { attr } from '../graph';
import type { Rule } from './rule';
import { floatOf, intOf, intsOf, withAttributes, withInput } from './rule';

/** `attribute` (ints) becomes input `index`, as int64 vector, in files before `since`. */
function movedInts(since: number, ...moves: readonly (readonly [string, number])[]): Rule {
  return (node, context) => {
    if (context.opset >= since) return undefined;
    let moved = node;
    for (const [name, index] of moves) {
      const values = intsOf(node, name);
      if (!values) continue;
      moved = withInput(moved, index, context.constant('int64', [values.length], values));
    }
    return moved === node
      ? undefined
      : withAttributes(
          moved,
          moves.map(([name]) => name),
        );
  };
}

const clip: Rule = (node, context) => {
  if (context.opset >= 11) return undefined;
  const dtype = context.floatType(node.inputs[0] ?? '');
  let moved = node;
  ['min', 'max'].forEach((name, index) => {
    const limit = floatOf(node, name);
    if (limit !== undefined) {
      moved = withInput(moved, index + 1, context.constant(dtype, [], [limit]));
    }
  });
  return withAttributes(moved, ['min', 'max']);
};

const pad: Rule = (node, context) => {
  const pads = intsOf(node, 'pads');
  if (context.opset >= 11 || !pads) return undefined;
  const dtype = context.floatType(node.inputs[0] ?? '');
  const value = floatOf(node, 'value');
  let moved = withInput(node, 1, context.constant('int64', [pads.length], pads));
  if (value !== undefined) moved = withInput(moved, 2, context.constant(dtype, [], [value]));
  return withAttributes(moved, ['pads', 'value']);
};

const split: Rule = (node, context) => {
  if (context.opset >= 18) return undefined;
  const lengths = context.opset < 13 ? intsOf(node, 'split') : undefined;
  if (lengths) {
    const input = context.constant('int64', [lengths.length], lengths);
    return withAttributes(withInput(node, 1, input), ['split']);
  }
  if (node.inputs[1]) return undefined;
  // Since 18 equal parts must be asked for.
  return withAttributes(node, ['split'], { num_outputs: attr.int(node.outputs.length) });
};

const topK: Rule = (node, context) =>
  context.opset >= 10
    ? undefined
    : withAttributes(withInput(node, 1, context.constant('int64', [1], [intOf(node, 'k', 1)])), [
        'k',
      ]);

const dropout: Rule = (node, context) => {
  if (context.opset >= 12) return undefined;
  const ratio = floatOf(node, 'ratio');
  const plain = withAttributes(node, ['ratio', 'is_test', 'seed']);
  // Before 12 a file that is run never drops anything: the input for training stays out.
  return ratio === undefined
    ? plain
    : withInput(plain, 1, context.constant('float32', [], [ratio]));
};

/** Counted from the start by default until 20, from the end since. */
const dft: Rule = (node, context) => {
  if (context.opset >= 20) return undefined;
  const axis = context.constant('int64', [], [intOf(node, 'axis', 1)]);
  return withAttributes(withInput(node, 2, axis), ['axis']);
};

const reduce = movedInts(18, ['axes', 1]);

export const moveRules: Readonly<Record<string, Rule>> = {
  Squeeze: movedInts(13, ['axes', 1]),
  Unsqueeze: movedInts(13, ['axes', 1]),
  ReduceSum: movedInts(13, ['axes', 1]),
  ReduceL1: reduce,
  ReduceL2: reduce,
  ReduceLogSum: reduce,
  ReduceLogSumExp: reduce,
  ReduceMax: reduce,
  ReduceMean: reduce,
  ReduceMin: reduce,
  ReduceProd: reduce,
  ReduceSumSquare: reduce,
  Slice: movedInts(10, ['starts', 1], ['ends', 2], ['axes', 3]),
  Clip: clip,
  Pad: pad,
  Split: split,
  TopK: topK,
  Dropout: dropout,
  DFT: dft,
};
