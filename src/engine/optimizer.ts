/** What the optimiser node of a training graph says, read once for both device executors. */
import { AppError } from '../core/errors';
import { TRAINING_DOMAIN } from '../onnx/graph';
import type { Node } from '../onnx/graph';
import { floatAttribute, intsAttribute } from '../ops/attributes';

export type OptimizerKind = 'SGD' | 'Adam' | 'AdamW';

export interface OptimizedWeight {
  readonly weight: string;
  readonly gradient: string;
  /** Moments: `m`, and `v` for Adam and AdamW. */
  readonly moments: readonly string[];
  /** Whether weight decay applies; it does not to biases and norms. */
  readonly decays: boolean;
  /** Value names of the new weight and moments. */
  readonly outputs: readonly string[];
}

export interface OptimizerPlan {
  readonly kind: OptimizerKind;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly momentum: number;
  readonly learningRate: string;
  readonly step: string;
  readonly clipNorm: string;
  readonly weights: readonly OptimizedWeight[];
  readonly gradNorm: string;
  readonly stepDone: string;
}

const KINDS: readonly string[] = ['SGD', 'Adam', 'AdamW'] satisfies OptimizerKind[];

export function isOptimizer(node: Node): boolean {
  return node.domain === TRAINING_DOMAIN && KINDS.includes(node.op);
}

export function readOptimizer(node: Node): OptimizerPlan {
  const kind = node.op as OptimizerKind;
  const momentCount = kind === 'SGD' ? 1 : 2;
  const width = 2 + momentCount;
  const [learningRate = '', step = '', clipNorm = '', ...rest] = node.inputs;
  const count = rest.length / width;
  const updated = 1 + momentCount;
  if (!Number.isInteger(count) || node.outputs.length !== count * updated + 2) {
    throw new AppError(
      'engine/optimizer',
      `${kind} "${node.name}" has ${rest.length} weight inputs and ${node.outputs.length} outputs, which do not match.`,
    );
  }
  const mask = node.attributes.has('decay_mask') ? intsAttribute(node, 'decay_mask') : [];
  const weights = Array.from({ length: count }, (_, index): OptimizedWeight => {
    const [weight = '', gradient = '', ...moments] = rest.slice(index * width, (index + 1) * width);
    return {
      weight,
      gradient,
      moments,
      decays: (mask[index] ?? 1) === 1,
      outputs: node.outputs.slice(index * updated, (index + 1) * updated),
    };
  });
  return {
    kind,
    beta1: floatAttribute(node, 'beta1', 0.9),
    beta2: floatAttribute(node, 'beta2', 0.999),
    epsilon: floatAttribute(node, 'epsilon', 1e-8),
    weightDecay: floatAttribute(node, 'weight_decay', 0),
    momentum: floatAttribute(node, 'momentum', 0),
    learningRate,
    step,
    clipNorm,
    weights,
    gradNorm: node.outputs.at(-2) ?? '',
    stepDone: node.outputs.at(-1) ?? '',
  };
}
