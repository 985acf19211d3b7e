/**
 * SGD, Adam, AdamW and Lion over all weights at once: the last node of a training graph. Inputs: learning_rate, step
 * (1-based), clip_norm (0 = none), with the attribute `loss_scaled` = 1 also loss_scale; then for each weight w, grad,
 * m, v (SGD, Lion: w, grad, m), then perhaps one vector with a factor of the learning rate for each weight. Outputs:
 * for each weight w', m', v' (SGD, Lion: w', m'), then grad_norm (before clipping) and step_done.
 *
 *   g ← g / loss_scale first of all, where it is given            (Micikevicius et al. 2018, arXiv 1710.03740)
 *   n = ‖all gradients‖₂;  g ← g · clip/n where n > clip > 0      (Pascanu, Mikolov & Bengio 2013)
 *   SGD    m ← μ·m + g;  w ← w − η·m                              (Sutskever et al. 2013, PyTorch's form)
 *   Adam   m ← β₁·m + (1−β₁)·g;  v ← β₂·v + (1−β₂)·g²
 *          w ← w − η · (m / (1−β₁ᵗ)) / (√(v / (1−β₂ᵗ)) + ε)       (Kingma & Ba 2015, arXiv 1412.6980)
 *   AdamW  w ← w − η·λ·w first, where `decay_mask` says so        (Loshchilov & Hutter 2019, arXiv 1711.05101)
 *   Lion   w ← w − η·(sign(β₁·m + (1−β₁)·g) + λ·w), the decay where `decay_mask` says so;  then
 *          m ← β₂·m + (1−β₂)·g                                    (Chen et al. 2023, arXiv 2302.06675)
 *
 * Where n is not finite nothing changes but step_done: the step is skipped on the device. A weight with the factor 0
 * rests: it does not change and does not count in n, but its moments go on, so that it starts evenly when it is
 * let go (Adam's corrections count steps from the beginning).
 */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute, intsAttribute } from '../attributes';
import type { OpSpec, ReferenceKernel, Value } from '../define';
import { checkInputDims, inputType, sameDims, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

export type OptimiserName = 'SGD' | 'Adam' | 'AdamW' | 'Lion';

/** learning_rate, step and clip_norm. */
const SCALARS = 3;

/** Inputs a weight takes: w, grad, m and, for Adam and AdamW, v. */
export function optimiserStride(op: string): 3 | 4 {
  return op === 'SGD' || op === 'Lion' ? 3 : 4;
}

export interface OptimiserLayout {
  /** First input of the first weight. */
  readonly header: number;
  /** Weights. */
  readonly count: number;
  /** Whether input 3 is the loss scale, and whether the last one holds factors. */
  readonly lossScaled: boolean;
  readonly factors: boolean;
}

/** Where the inputs of an optimiser node stand; undefined where they do not fit. */
export function optimiserLayout(node: Node): OptimiserLayout | undefined {
  const stride = optimiserStride(node.op);
  const lossScaled = intAttribute(node, 'loss_scaled', 0) !== 0;
  const header = SCALARS + (lossScaled ? 1 : 0);
  const rest = node.inputs.length - header;
  const extra = rest % stride;
  if (extra > 1 || rest < stride) return undefined;
  return { header, count: (rest - extra) / stride, lossScaled, factors: extra === 1 };
}

export interface OptimiserSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly momentum: number;
  /** For each weight, 1 where it decays. */
  readonly decayMask: readonly number[];
}

/** The node's attributes with their defaults; what every executor works from. */
export function optimiserSettings(node: Node): OptimiserSettings {
  return {
    beta1: floatAttribute(node, 'beta1', 0.9),
    beta2: floatAttribute(node, 'beta2', node.op === 'Lion' ? 0.99 : 0.999),
    epsilon: floatAttribute(node, 'epsilon', 1e-8),
    weightDecay: floatAttribute(node, 'weight_decay', 0),
    momentum: floatAttribute(node, 'momentum', 0),
    decayMask: intsAttribute(node, 'decay_mask', []),
  };
}

/** Weight decay that does not pass through the gradient. */
export function weightDecays(node: Node, settings: OptimiserSettings, index: number): boolean {
  return (node.op === 'AdamW' || node.op === 'Lion') && settings.decayMask[index] === 1;
}

const reference: ReferenceKernel = (node, inputs) => {
  const [rate, step, clip] = [0, 1, 2].map((i) => inputValue(node, inputs, i).data[0] as number);
  if (rate === undefined || step === undefined || clip === undefined) return [];
  const settings = optimiserSettings(node);
  const stride = optimiserStride(node.op);
  const layout = optimiserLayout(node);
  if (!layout) return [];
  const { header, count } = layout;
  const lossScale = layout.lossScaled ? inputValue(node, inputs, SCALARS).data[0] : 1;
  const given = layout.factors ? inputValue(node, inputs, inputs.length - 1).data : undefined;
  const factors = Array.from({ length: count }, (_, index) => given?.[index] ?? 1);
  const input = (weight: number, port: number): Value =>
    inputValue(node, inputs, header + weight * stride + port);

  let squares = 0;
  for (let w = 0; w < count; w++) {
    // 0 · g² is NaN where g is not finite: a resting weight that breaks stops the step too.
    const counted = factors[w] === 0 ? 0 : 1;
    for (const g of input(w, 1).data) squares += counted * (g * g);
  }
  const norm = Math.sqrt(squares) / (lossScale ?? 1);
  const skip = !Number.isFinite(norm);
  const factor = (clip > 0 && norm > clip ? clip / norm : 1) / (lossScale ?? 1);
  const { beta1, beta2, epsilon, momentum } = settings;
  const correct1 = 1 - beta1 ** step;
  const correct2 = 1 - beta2 ** step;

  const outputs: Value[] = [];
  for (let index = 0; index < count; index++) {
    const [w, grad, m] = [0, 1, 2].map((port) => input(index, port));
    if (!w || !grad || !m) return [];
    const v = stride === 4 ? input(index, 3) : undefined;
    if (skip) {
      outputs.push(w, m, ...(v ? [v] : []));
      continue;
    }
    const newW = makeValue(w.dtype, w.dims);
    const newM = makeValue(w.dtype, w.dims);
    const newV = makeValue(w.dtype, w.dims);
    const ownRate = rate * (factors[index] as number);
    const decay = weightDecays(node, settings, index) ? ownRate * settings.weightDecay : 0;
    for (let i = 0; i < w.data.length; i++) {
      const g = (grad.data[i] as number) * factor;
      const old = w.data[i] as number;
      if (v) {
        const first = beta1 * (m.data[i] as number) + (1 - beta1) * g;
        const second = beta2 * (v.data[i] as number) + (1 - beta2) * g * g;
        newM.data[i] = first;
        newV.data[i] = second;
        const direction = first / correct1 / (Math.sqrt(second / correct2) + epsilon);
        newW.data[i] = old - decay * old - ownRate * direction;
      } else if (node.op === 'Lion') {
        const before = m.data[i] as number;
        newM.data[i] = beta2 * before + (1 - beta2) * g;
        newW.data[i] = old - decay * old - ownRate * Math.sign(beta1 * before + (1 - beta1) * g);
      } else {
        const velocity = momentum * (m.data[i] as number) + g;
        newM.data[i] = velocity;
        newW.data[i] = old - ownRate * velocity;
      }
    }
    outputs.push(newW, newM, ...(v ? [newV] : []));
  }
  return [
    ...outputs,
    makeValue('float32', [], Float64Array.of(norm)),
    makeValue('float32', [], Float64Array.of(step)),
  ];
};

function spec(name: OptimiserName): OpSpec {
  const stride = optimiserStride(name);
  return {
    name,
    domain: TRAINING_DOMAIN,
    inputs: [SCALARS + stride, Infinity],
    infer: (context) => {
      const { node } = context;
      const layout = optimiserLayout(node);
      if (!layout) {
        throw shapeError(node, 'the inputs', `3 and ${stride} a weight`, `${node.inputs.length}`);
      }
      const { header, count } = layout;
      for (let port = 0; port < header; port++) checkInputDims(context, port, `input ${port}`, []);
      if (layout.factors) {
        const port = node.inputs.length - 1;
        const { dims } = inputType(context, port);
        if (!sameDims(dims, [count])) {
          throw shapeError(node, `input ${port}`, shapeText([count]), shapeText(dims));
        }
      }
      const types = Array.from({ length: count }, (_, index) => {
        const first = header + index * stride;
        const weight = inputType(context, first);
        for (let port = 1; port < stride; port++) {
          const { dims } = inputType(context, first + port);
          if (!sameDims(dims, weight.dims)) {
            throw shapeError(
              node,
              `input ${first + port}`,
              shapeText(weight.dims),
              shapeText(dims),
            );
          }
        }
        return new Array<typeof weight>(stride - 1).fill(weight);
      });
      const scalar = { dtype: 'float32' as const, dims: [] };
      return [...types.flat(), scalar, scalar];
    },
    reference,
  };
}

export const optimiserSpecs: readonly OpSpec[] = [
  spec('SGD'),
  spec('Adam'),
  spec('AdamW'),
  spec('Lion'),
];
