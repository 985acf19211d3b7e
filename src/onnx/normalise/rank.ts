/** Number of axes of a value, followed back through nodes where it is plain. Undefined where it is not. */
import type { Node, Tensor } from '../graph';

/** Their result has as many axes as their first input. */
const KEEPING = new Set(
  (
    'Abs AveragePool BatchNormalization Cast Celu Clip Concat Conv ConvTranspose CumSum DepthToSpace Dropout Elu ' +
    'Erf Exp Floor Ceil Round Gelu GlobalAveragePool GlobalMaxPool GroupNormalization HardSigmoid HardSwish ' +
    'Hardmax Identity InstanceNormalization LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization ' +
    'LpPool MaxPool Mish Neg PRelu Pad Reciprocal Relu Resize Selu Sigmoid Sign Slice Softmax Softplus Softsign ' +
    'SpaceToDepth Split Sqrt Tanh ThresholdedRelu Tile Transpose Upsample'
  ).split(' '),
);
const BROADCASTING = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Max', 'Min', 'Mean', 'Sum']);
const MATRICES = new Set(['Gemm', 'Flatten']);
const MAX_STEPS = 200;

export function rankFrom(
  name: string,
  known: (value: string) => number | undefined,
  maker: (value: string) => Node | undefined,
  tensor: (value: string) => Tensor | undefined,
): number | undefined {
  let left = MAX_STEPS;
  const find = (value: string): number | undefined => {
    const own = known(value);
    const node = maker(value);
    if (own !== undefined || !node || node.domain !== '' || left-- <= 0) return own;
    const [first = '', second = ''] = node.inputs;
    if (MATRICES.has(node.op)) return 2;
    if (KEEPING.has(node.op)) return find(first);
    if (node.op === 'Reshape') return tensor(second)?.data.length;
    if (node.op === 'MatMul' || BROADCASTING.has(node.op)) {
      // Each costs a step, so as many as there are steps is all that could be known.
      if (node.inputs.length > MAX_STEPS) return undefined;
      const ranks = node.inputs.map(find);
      if (ranks.some((rank) => rank === undefined)) return undefined;
      const numbers = ranks.map((rank) => rank ?? 0);
      if (node.op === 'MatMul' && Math.min(...numbers) < 2) return undefined;
      return Math.max(...numbers);
    }
    return undefined;
  };
  return find(name);
}
