/**
 * Opsets 1 to 6. Most operators mean there what they mean in opset 7. Binary operators broadcast only when told to, and
 * then from an axis on; others carry attributes that later became the rule. Forms that are not known here (shapes as
 * attributes, training) are refused by name: no exporter in use writes them.
 */
import { ownValue } from '../../core/own-value';
import type { Node } from '../graph';
import { cannotNormalise, intOf, withAttributes, withInput } from './rule';
import type { Rule, RuleContext } from './rule';

/** Opset of the oldest form that rules know, where it is not the first. */
const KNOWN_SINCE: Readonly<Record<string, number>> = {
  Cast: 6,
  Concat: 4,
  GRU: 7,
  GlobalLpPool: 2,
  LSTM: 7,
  LpPool: 2,
  Pad: 2,
  RNN: 7,
  Reshape: 5,
  Split: 2,
  Tile: 6,
  Upsample: 7,
};

/** The second input with `count` axes of length 1 behind its own, so that it broadcasts from an earlier axis on. */
function padded(node: Node, context: RuleContext, rank: number, count: number): Node {
  if (count <= 0) return node;
  const axes = Array.from({ length: count }, (_, index) => rank + index);
  const list = context.constant('int64', [count], axes);
  return withInput(node, 1, context.before(node, 'Unsqueeze', [node.inputs[1] ?? '', list]));
}

function ranks(node: Node, context: RuleContext): [number, number] {
  const [a, b] = node.inputs.map((name) => context.rank(name));
  if (a === undefined || b === undefined) {
    throw cannotNormalise(node, 'broadcasts from an axis on inputs of unknown shape');
  }
  return [a, b];
}

const binary: Rule = (node, context) => {
  const plain = withAttributes(node, ['axis', 'broadcast']);
  if (intOf(node, 'broadcast', 0) === 0 || !node.attributes.has('axis')) return plain;
  const [a, b] = ranks(node, context);
  const axis = intOf(node, 'axis', 0);
  return padded(plain, context, b, a - (axis < 0 ? axis + a : axis) - b);
};

/** A slope for each channel, which is the second axis. */
const prelu: Rule = (node, context) => {
  if (context.type(node.inputs[1] ?? '')?.dims[0] === 1) return node;
  const [x, slope] = ranks(node, context);
  return padded(node, context, slope, slope === 1 ? x - 2 : 0);
};

/** Without `is_test` the operator learns. */
const finished: Rule = (node) => {
  if (intOf(node, 'is_test', 0) === 0) throw cannotNormalise(node, 'is in training mode');
  return withAttributes(node, ['is_test']);
};

const RULES: Readonly<Record<string, Rule>> = {
  Add: binary,
  And: binary,
  BatchNormalization: finished,
  Div: binary,
  Dropout: finished,
  Equal: binary,
  Gemm: (node) => withAttributes(node, ['broadcast']),
  Greater: binary,
  Less: binary,
  Mul: binary,
  Or: binary,
  PRelu: prelu,
  Pow: binary,
  Sub: binary,
  Xor: binary,
};

/** The node as opset 7 has it. @throws AppError `onnx/unsupported` for a form that is not known */
export function fromFirstOpsets(node: Node, context: RuleContext): Node {
  const { opset } = context;
  if (node.domain !== '' || opset >= 7) return node;
  if (opset < (ownValue(KNOWN_SINCE, node.op) ?? 1)) {
    throw cannotNormalise(node, `is in its form of opset ${opset}, which is not read`);
  }
  const result = ownValue(RULES, node.op)?.(node, context) ?? node;
  // A hint for memory planners of that time, without meaning for the result.
  return result.attributes.has('consumed_inputs')
    ? withAttributes(result, ['consumed_inputs'])
    : result;
}
