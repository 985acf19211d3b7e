/** Every operator that has a lowering of its own on the graphics processor. */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import {
  batchNormalization,
  batchNormGradient,
  batchNormTrain,
} from '../../ops/BatchNormalization/tfjs';
import { CONSTANTS } from '../../ops/constants/tfjs';
import { conv, convInputGradient, convWeightGradient } from '../../ops/Conv/tfjs';
import { ELEMENTWISE, product } from '../../ops/elementwise/tfjs';
import { dropout } from '../../ops/Dropout/tfjs';
import { gemm } from '../../ops/Gemm/tfjs';
import type { Lowering, LoweringTable } from '../../ops/lowering/tfjs';
import { matMul } from '../../ops/MatMul/tfjs';
import { INDEXING } from '../../ops/indexing/tfjs';
import { MOVEMENT } from '../../ops/movement/tfjs';
import { layerNormalization } from '../../ops/normalisation/tfjs';
import { pad } from '../../ops/Pad/tfjs';
import { POSITIONS } from '../../ops/positions/tfjs';
import { POOLING, POOLING_GRADIENTS } from '../../ops/pooling/tfjs';
import { REDUCTION_KERNELS } from '../../ops/reductions/tfjs';
import { roiAlign } from '../../ops/RoiAlign/tfjs';
import { topK } from '../../ops/TopK/tfjs';
import {
  softmaxCrossEntropy,
  softmaxCrossEntropyGradient,
} from '../../ops/SoftmaxCrossEntropy/tfjs';

const STANDARD: LoweringTable = {
  ...ELEMENTWISE,
  ...MOVEMENT,
  ...INDEXING,
  ...POSITIONS,
  ...POOLING,
  ...REDUCTION_KERNELS,
  ...CONSTANTS,
  BatchNormalization: batchNormalization,
  Conv: conv,
  Gemm: gemm,
  LayerNormalization: layerNormalization,
  MatMul: matMul,
  Dropout: dropout,
  Pad: pad,
  RoiAlign: roiAlign,
  TopK: topK,
};

const TRAINING: LoweringTable = {
  ...POOLING_GRADIENTS,
  BatchNormGrad: batchNormGradient,
  BatchNormTrain: batchNormTrain,
  ConvGradInput: convInputGradient,
  ConvGradWeight: convWeightGradient,
  DropoutTrain: product,
  SoftmaxCrossEntropy: softmaxCrossEntropy,
  SoftmaxCrossEntropyGrad: softmaxCrossEntropyGradient,
};

const tables: ReadonlyMap<string, ReadonlyMap<string, Lowering>> = new Map([
  ['', new Map(Object.entries(STANDARD))],
  [TRAINING_DOMAIN, new Map(Object.entries(TRAINING))],
]);

/** Their values follow from shapes and constants, so they are known when a graph is compiled and need no kernel. */
export const FROM_SHAPES: ReadonlySet<string> = new Set(['Constant', 'Shape', 'Size']);

/** Inputs that only say where elements go: a kernel has them in its source and binds no buffer for them. */
const COMPILED_IN: Readonly<Record<string, readonly number[]>> = {
  Expand: [1],
  Pad: [1, 3],
  Reshape: [1],
  Slice: [1, 2, 3, 4],
  Split: [1],
  Squeeze: [1],
  Tile: [1],
  TopK: [1],
  Unsqueeze: [1],
};

/** The node's inputs as its kernel is given them: '' where a constant is compiled in. */
export function boundInputs(node: Node, isConstant: (name: string) => boolean): readonly string[] {
  const ports = node.domain === '' ? COMPILED_IN[node.op] : undefined;
  if (ports === undefined) return node.inputs;
  return node.inputs.map((name, port) => (ports.includes(port) && isConstant(name) ? '' : name));
}

/** undefined: the operator is rewritten in others first, or is not supported. */
export function loweringOf(node: Node): Lowering | undefined {
  return tables.get(node.domain)?.get(node.op);
}
