/** Every operator that has kernels of its own on the graphics processor. */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Graph, Node } from '../../onnx/graph';
import {
  attention,
  attentionFits,
  attentionGradFits,
  attentionGradient,
  attentionTrainFits,
} from '../../ops/attention/lowering';
import {
  BATCH_NORMALISATION,
  BATCH_NORMALISATION_TRAINING,
} from '../../ops/BatchNormalization/lowering';
import { CONSTANTS } from '../../ops/constants/lowering';
import { conv, convInputGradient, convWeightGradient } from '../../ops/Conv/lowering';
import { dropout } from '../../ops/Dropout/lowering';
import { dropoutMask } from '../../ops/DropoutMask/lowering';
import { ACTIVATION_GRADIENTS, ELEMENTWISE, product } from '../../ops/elementwise/lowering';
import { expandWhile } from '../../ops/expand-graph';
import { gatherGradient } from '../../ops/GatherGrad/lowering';
import { gemm } from '../../ops/Gemm/lowering';
import { INDEXING } from '../../ops/indexing/lowering';
import { infer, staticType } from '../../ops/infer-shapes';
import type {
  DeviceTraits,
  Lowering,
  LoweringContext,
  LoweringTable,
} from '../../ops/lowering/plan';
import { matMul } from '../../ops/MatMul/lowering';
import { MOVEMENT } from '../../ops/movement/lowering';
import { NORMALISATION, NORMALISATION_GRADIENTS } from '../../ops/normalisation/lowering';
import { pad } from '../../ops/Pad/lowering';
import { POOLING, POOLING_GRADIENTS } from '../../ops/pooling/lowering';
import { POSITIONS } from '../../ops/positions/lowering';
import { REDUCTION_KERNELS } from '../../ops/reductions/lowering';
import { roiAlign } from '../../ops/RoiAlign/lowering';
import { SOFTMAX } from '../../ops/Softmax/lowering';
import { softmaxGradient } from '../../ops/SoftmaxGrad/lowering';
import { CROSS_ENTROPY } from '../../ops/SoftmaxCrossEntropy/lowering';
import { topK } from '../../ops/TopK/lowering';
import { KernelList } from './kernels';

const STANDARD: LoweringTable = {
  ...ELEMENTWISE,
  ...MOVEMENT,
  ...INDEXING,
  ...POSITIONS,
  ...POOLING,
  ...REDUCTION_KERNELS,
  ...CONSTANTS,
  ...NORMALISATION,
  ...BATCH_NORMALISATION,
  ...SOFTMAX,
  Attention: attention,
  Conv: conv,
  Dropout: dropout,
  Gemm: gemm,
  MatMul: matMul,
  Pad: pad,
  RoiAlign: roiAlign,
  TopK: topK,
};

const TRAINING: LoweringTable = {
  ...ACTIVATION_GRADIENTS,
  ...POOLING_GRADIENTS,
  ...NORMALISATION_GRADIENTS,
  ...BATCH_NORMALISATION_TRAINING,
  ...CROSS_ENTROPY,
  AttentionTrain: attention,
  AttentionGrad: attentionGradient,
  ConvGradInput: convInputGradient,
  ConvGradWeight: convWeightGradient,
  DropoutMask: dropoutMask,
  DropoutTrain: product,
  GatherGrad: gatherGradient,
  SoftmaxGrad: softmaxGradient,
};

/** Where a lowering does not take every form of its operator. */
const FITS: Readonly<Record<string, (context: LoweringContext) => boolean>> = {
  Attention: attentionFits,
  AttentionTrain: attentionTrainFits,
  AttentionGrad: attentionGradFits,
};

const TABLES: ReadonlyMap<string, ReadonlyMap<string, Lowering>> = new Map([
  ['', new Map(Object.entries(STANDARD))],
  [TRAINING_DOMAIN, new Map(Object.entries(TRAINING))],
]);

/** Their values follow from shapes and constants, so they are known when a graph is compiled and need no kernel. */
export const FROM_SHAPES: ReadonlySet<string> = new Set(['Constant', 'Shape', 'Size']);

export function loweringOf(node: Node): Lowering | undefined {
  return TABLES.get(node.domain)?.get(node.op);
}

/** The graph with all operators expanded that have no lowering, or not for their form. */
export function expandForPlan(graph: Graph, traits: DeviceTraits): Graph {
  return expandWhile(graph, (current) => {
    const conditional = current.nodes.some(({ op }) => op in FITS);
    const known = conditional ? infer(current) : undefined;
    return (node) => {
      if (loweringOf(node) === undefined) return false;
      const fits = FITS[node.op];
      if (fits === undefined || known === undefined) return true;
      return fits({
        node,
        plan: new KernelList(traits),
        type: (name) => staticType(known.types, name),
        constant: (index) => known.constants.get(node.inputs[index] ?? ''),
        tensor: () => {
          throw new Error('Whether a lowering fits follows from types alone.');
        },
        producer: () => undefined,
      });
    };
  });
}
