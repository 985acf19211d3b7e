/** Every operator the studio knows. Lowerings never enter here: engine/plan looks them up. */
import { AppError } from '../core/errors';
import type { Node } from '../onnx/graph';
import { argSpecs } from './ArgMax/spec';
import { attentionSpecs } from './attention/spec';
import { attentionGradSpec } from './AttentionGrad/spec';
import { attentionTrainSpec } from './AttentionTrain/spec';
import { averagePoolSpec } from './AveragePool/spec';
import { averagePoolGradSpec } from './AveragePoolGrad/spec';
import { batchNormGradSpec } from './BatchNormGrad/spec';
import { batchNormTrainSpec } from './BatchNormTrain/spec';
import { batchNormalizationSpec } from './BatchNormalization/spec';
import { castSpecs } from './Cast/spec';
import { clipSpec } from './Clip/spec';
import { concatSpec } from './Concat/spec';
import { rangeSpecs } from './constants/ranges';
import { constantSpecs } from './constants/spec';
import { ifSpec } from './control/if';
import { loopSpec } from './control/loop';
import { scanSpec } from './control/scan';
import { convSpec } from './Conv/spec';
import { convGradInputSpec } from './ConvGradInput/spec';
import { convGradWeightSpec } from './ConvGradWeight/spec';
import { convTransposeSpec } from './ConvTranspose/spec';
import type { OpSpec } from './define';
import { detSpec } from './Det/spec';
import { dropoutSpec } from './Dropout/spec';
import { dropoutMaskSpec } from './DropoutMask/spec';
import { dropoutTrainSpec } from './DropoutTrain/spec';
import { binarySpecs } from './elementwise/binary-spec';
import { slopeSpecs } from './elementwise/slopes';
import { unarySpecs } from './elementwise/unary-spec';
import { einsumSpec } from './Einsum/spec';
import { expandSpec } from './Expand/spec';
import { gatherSpec } from './Gather/spec';
import { gatherGradSpec } from './GatherGrad/spec';
import { gatherElementsSpec, gatherNdSpec } from './indexing/gather';
import { scatterElementsSpec, scatterNdSpec } from './indexing/scatter';
import { gemmSpec } from './Gemm/spec';
import { affineGridSpec } from './AffineGrid/spec';
import { centerCropPadSpec } from './CenterCropPad/spec';
import { col2ImSpec } from './Col2Im/spec';
import { depthToSpaceSpecs } from './DepthToSpace/spec';
import { globalMaxPoolSpec } from './GlobalMaxPool/spec';
import { gridSampleSpec } from './GridSample/spec';
import { maxUnpoolSpec } from './MaxUnpool/spec';
import { resizeSpec } from './Resize/spec';
import { roiAlignSpec } from './RoiAlign/spec';
import { globalLpPoolSpec, lpPoolSpec } from './LpPool/spec';
import { globalAveragePoolSpec } from './GlobalAveragePool/spec';
import { hardmaxSpec } from './Hardmax/spec';
import { softmaxCrossEntropyLossSpec } from './losses/cross-entropy';
import { negativeLogLikelihoodSpec } from './losses/likelihood';
import { matMulSpec } from './MatMul/spec';
import { matMulNBitsSpec } from './MatMulNBits/spec';
import { maxPoolSpec } from './MaxPool/spec';
import { maxPoolGradSpec } from './MaxPoolGrad/spec';
import { channelNormalisationSpecs } from './normalisation/channels';
import { layerNormGradSpec } from './LayerNormGrad/spec';
import { rmsNormGradSpec } from './RMSNormGrad/spec';
import { rmsNormTrainSpec } from './RMSNormTrain/spec';
import { layerNormalizationSpec, rmsNormalizationSpec } from './normalisation/layer';
import { simpleNormalisationSpecs } from './normalisation/simple';
import { oneHotSpec } from './OneHot/spec';
import { optimiserSpecs } from './optimisers/spec';
import { padSpec } from './Pad/spec';
import { positionSpecs } from './positions/spec';
import { integerSpecs } from './quantization/integer';
import { linearSpecs } from './quantization/linear';
import { recurrentSpecs } from './recurrent/spec';
import { reductionSpecs } from './reductions/spec';
import { reshapeSpecs } from './Reshape/spec';
import { selectionSpecs } from './selection/spec';
import { sliceSpec } from './Slice/spec';
import { softmaxGradSpec } from './SoftmaxGrad/spec';
import { softmaxSpecs } from './Softmax/spec';
import { softmaxCrossEntropySpec } from './SoftmaxCrossEntropy/spec';
import { softmaxCrossEntropyGradSpec } from './SoftmaxCrossEntropyGrad/spec';
import { splitSpec } from './Split/spec';
import { squeezeSpecs } from './Squeeze/spec';
import { tileSpec } from './Tile/spec';
import { topKSpec } from './TopK/spec';
import { transposeSpec } from './Transpose/spec';
import { whereSpec } from './Where/spec';

export const ALL_OPS: readonly OpSpec[] = [
  ...unarySpecs,
  ...binarySpecs,
  whereSpec,
  clipSpec,
  ...castSpecs,
  matMulSpec,
  gemmSpec,
  einsumSpec,
  detSpec,
  convSpec,
  convTransposeSpec,
  maxPoolSpec,
  averagePoolSpec,
  globalAveragePoolSpec,
  globalMaxPoolSpec,
  lpPoolSpec,
  globalLpPoolSpec,
  maxUnpoolSpec,
  ...depthToSpaceSpecs,
  resizeSpec,
  gridSampleSpec,
  affineGridSpec,
  col2ImSpec,
  centerCropPadSpec,
  roiAlignSpec,
  batchNormalizationSpec,
  ...channelNormalisationSpecs,
  layerNormalizationSpec,
  rmsNormalizationSpec,
  ...simpleNormalisationSpecs,
  ...softmaxSpecs,
  hardmaxSpec,
  softmaxCrossEntropyLossSpec,
  negativeLogLikelihoodSpec,
  ...reductionSpecs,
  ...argSpecs,
  ...reshapeSpecs,
  ...squeezeSpecs,
  transposeSpec,
  concatSpec,
  sliceSpec,
  splitSpec,
  expandSpec,
  gatherSpec,
  gatherElementsSpec,
  gatherNdSpec,
  scatterElementsSpec,
  scatterNdSpec,
  topKSpec,
  tileSpec,
  ...positionSpecs,
  ...selectionSpecs,
  ...recurrentSpecs,
  ...attentionSpecs,
  ifSpec,
  loopSpec,
  scanSpec,
  oneHotSpec,
  padSpec,
  dropoutSpec,
  ...constantSpecs,
  ...rangeSpecs,
  ...linearSpecs,
  ...integerSpecs,
  matMulNBitsSpec,
  softmaxCrossEntropySpec,
  softmaxCrossEntropyGradSpec,
  convGradInputSpec,
  convGradWeightSpec,
  maxPoolGradSpec,
  averagePoolGradSpec,
  batchNormTrainSpec,
  batchNormGradSpec,
  layerNormGradSpec,
  rmsNormTrainSpec,
  rmsNormGradSpec,
  attentionTrainSpec,
  attentionGradSpec,
  gatherGradSpec,
  softmaxGradSpec,
  ...slopeSpecs,
  dropoutMaskSpec,
  dropoutTrainSpec,
  ...optimiserSpecs,
];

const BY_NAME = new Map(ALL_OPS.map((spec) => [`${spec.domain}:${spec.name}`, spec]));

export function lookupOp(domain: string, name: string): OpSpec | undefined {
  return BY_NAME.get(`${domain === 'ai.onnx' ? '' : domain}:${name}`);
}

/** The operator of a node; `onnx/operator` where the studio does not know it or its inputs do not fit. */
export function requireOp(node: Node): OpSpec {
  const spec = lookupOp(node.domain, node.op);
  const name = node.domain === '' ? node.op : `${node.domain}.${node.op}`;
  if (!spec) {
    throw new AppError(
      'onnx/operator',
      `Node "${node.name}" uses the operator ${name}, which this version does not know. ` +
        'Export the model with other operators.',
      { node: node.name, op: name, expected: 'an operator of this version', found: name },
    );
  }
  const [least, most] = spec.inputs;
  if (node.inputs.length < least || node.inputs.length > most) {
    throw new AppError(
      'onnx/operator',
      `Node "${node.name}" (${name}) has ${node.inputs.length} inputs; it takes ${least} to ${most}.`,
      {
        node: node.name,
        op: name,
        port: 'inputs',
        expected: `${least} to ${most}`,
        found: node.inputs.length,
      },
    );
  }
  return spec;
}
