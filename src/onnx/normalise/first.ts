/**
 * Opsets 1 to 6. Most operators mean there what they mean in opset 7, and models of those alone are read. Those that
 * do not (binary operators with a `broadcast` attribute, shapes and ratios as attributes) are refused by name: no
 * exporter in use writes them.
 */
import type { Node } from '../graph';
import { cannotNormalise, withAttributes } from './rule';

/** Opset of the oldest form that rules know, where it is not the first. */
const KNOWN_SINCE: Readonly<Record<string, number>> = {
  Add: 7,
  And: 7,
  BatchNormalization: 7,
  Cast: 6,
  Concat: 4,
  Div: 7,
  Dropout: 7,
  Equal: 7,
  GRU: 7,
  Gemm: 7,
  GlobalLpPool: 2,
  Greater: 7,
  LSTM: 7,
  Less: 7,
  LpPool: 2,
  Mul: 7,
  Or: 7,
  PRelu: 7,
  Pad: 2,
  Pow: 7,
  RNN: 7,
  Reshape: 5,
  Split: 2,
  Sub: 7,
  Tile: 6,
  Upsample: 7,
  Xor: 7,
};

/** The node as opset 7 has it. @throws AppError `onnx/unsupported` for a form that is not known */
export function fromFirstOpsets(node: Node, opset: number): Node {
  if (node.domain !== '' || opset >= 7) return node;
  if (opset < (KNOWN_SINCE[node.op] ?? 1)) {
    throw cannotNormalise(node, `is in its form of opset ${opset}, which is not read`);
  }
  // A hint for memory planners of that time, without meaning for the result.
  return node.attributes.has('consumed_inputs') ? withAttributes(node, ['consumed_inputs']) : node;
}
