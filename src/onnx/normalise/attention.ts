/**
 * Attention of opset 24 may be told how many keys of each row count (`nonpad_kv_seqlen`). Opset 23 says the same by
 * a mask: key j of row b is open where j < n[b], and, where it is causal, to query i where j <= i + n[b] − queries.
 */
import { attr } from '../graph';
import type { Node } from '../graph';
import { cannotNormalise, intOf, withAttributes, withInput } from './rule';
import type { Rule, RuleContext } from './rule';

const LENGTHS = 6;

export const attention: Rule = (node, context) => {
  if (node.inputs.length <= LENGTHS) return undefined;
  const plain = { ...node, inputs: node.inputs.slice(0, LENGTHS) };
  const [q = '', k = '', , mask = '', pastKey = ''] = node.inputs;
  const lengths = node.inputs[LENGTHS] ?? '';
  if (lengths === '') return plain;
  if (pastKey !== '') throw cannotNormalise(node, 'has past keys beside nonpad_kv_seqlen');
  const before = (op: string, inputs: readonly string[], attributes = {}) =>
    context.before(node, op, inputs, attributes);
  const int = (value: number) => context.constant('int64', [], [value]);
  const reshape = (name: string, dims: readonly number[]) =>
    before('Reshape', [name, context.constant('int64', [dims.length], dims)]);
  const axis = context.rank(q) === 3 ? 1 : 2;
  const keys = lengthOf(before, k, axis);
  const each = reshape(lengths, [-1, 1, 1, 1]);
  const places = before('Range', [int(0), keys, int(1)]);
  let open = before('Less', [places, each]);
  if (intOf(node, 'is_causal', 0) !== 0) {
    const queries = lengthOf(before, q, axis);
    const rows = reshape(before('Range', [int(0), queries, int(1)]), [-1, 1]);
    const last = before('Add', [rows, before('Sub', [each, queries])]);
    open = before('And', [open, before('LessOrEqual', [places, last])]);
  }
  if (mask !== '') open = withMask(node, context, open, mask, keys);
  return withAttributes(withInput(plain, 3, open), ['is_causal']);
};

type Before = (op: string, inputs: readonly string[], attributes?: object) => string;

function lengthOf(before: Before, name: string, axis: number): string {
  const dims = before('Shape', [name], { start: attr.int(axis), end: attr.int(axis + 1) });
  return before('Squeeze', [dims]);
}

/** The mask as well, which closes the keys that it is too short for. */
function withMask(
  node: Node,
  context: RuleContext,
  open: string,
  mask: string,
  keys: string,
): string {
  const rank = context.rank(mask);
  const type = context.type(mask)?.dtype;
  if (rank === undefined || type === undefined) {
    throw cannotNormalise(node, 'has a mask of unknown rank beside nonpad_kv_seqlen');
  }
  const before = (op: string, inputs: readonly string[], attributes = {}) =>
    context.before(node, op, inputs, attributes);
  const zeros = context.constant('int64', [2 * rank - 1], new Array<number>(2 * rank - 1).fill(0));
  const one = context.constant('int64', [1], [-1]);
  const missing = before('Sub', [
    before('Reshape', [keys, one]),
    before('Shape', [mask], { start: attr.int(-1) }),
  ]);
  const pads = before('Concat', [zeros, missing], { axis: attr.int(0) });
  if (type === 'bool') return before('And', [open, before('Pad', [mask, pads])]);
  const closed = context.constant(context.floatType(mask), [], [-Infinity]);
  return before('Where', [open, before('Pad', [mask, pads, closed]), closed]);
}
