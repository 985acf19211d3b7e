/**
 * Which values of a step may be stored as float16 when a run asks for it. Kernels compute with float32 all the same,
 * weights, moments and weight gradients stay float32, and so does what sums, exponentials and statistics give, where
 * ten bits are too few (the same division as in Micikevicius et al. 2018, arXiv 1710.03740).
 */
import type { Node } from '../../onnx/graph';
import type { PlanValue } from './kernels';

/** Smaller values save nothing. */
const SMALLEST = 1024;

const WHOLE = new Set([
  'Softmax',
  'LogSoftmax',
  'SoftmaxCrossEntropy',
  'SoftmaxCrossEntropyGrad',
  'Exp',
  'Log',
  'Pow',
  'Reciprocal',
  'CumSum',
  'TopK',
]);

/** @param output number of the node's output that the value is */
export function storedAsHalf({ op }: Node, output: number, { type, size }: PlanValue): boolean {
  if (type !== 'f32' || size < SMALLEST) return false;
  if (WHOLE.has(op) || op.startsWith('Reduce')) return false;
  // The other outputs are statistics, but for gradients, which have one output for each input.
  return output === 0 || op.endsWith('Grad');
}
