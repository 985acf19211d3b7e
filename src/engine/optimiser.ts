/** What the optimiser node of a training graph says, read once for both device executors. */
import { AppError } from '../core/errors';
import { TRAINING_DOMAIN } from '../onnx/graph';
import type { Node } from '../onnx/graph';
import {
  optimiserLayout,
  optimiserSettings,
  optimiserStride,
  weightDecays,
} from '../ops/optimisers/spec';
import type { OptimiserName, OptimiserSettings } from '../ops/optimisers/spec';

export interface OptimisedWeight {
  readonly weight: string;
  readonly gradient: string;
  /** Moments: `m`, and `v` for Adam and AdamW. */
  readonly moments: readonly string[];
  /** Whether weight decay applies; it does not to biases and norms. */
  readonly decays: boolean;
  /** Value names of the new weight and moments. */
  readonly outputs: readonly string[];
}

export interface OptimiserPlan {
  readonly kind: OptimiserName;
  readonly settings: OptimiserSettings;
  readonly learningRate: string;
  readonly step: string;
  readonly clipNorm: string;
  /** Scalar by which the gradients are divided before anything else; undefined is 1. */
  readonly lossScale: string | undefined;
  /** Vector with a factor of the learning rate for each weight; undefined where all learn alike. */
  readonly factors: string | undefined;
  readonly weights: readonly OptimisedWeight[];
  readonly gradNorm: string;
  readonly stepDone: string;
}

const KINDS: readonly string[] = ['SGD', 'Adam', 'AdamW', 'Lion'] satisfies OptimiserName[];

export function isOptimiser(node: Node): boolean {
  return node.domain === TRAINING_DOMAIN && KINDS.includes(node.op);
}

export function readOptimiser(node: Node): OptimiserPlan {
  const kind = node.op as OptimiserName;
  const width = optimiserStride(kind);
  const updated = width - 1;
  const [learningRate = '', step = '', clipNorm = '', lossScale] = node.inputs;
  const layout = optimiserLayout(node);
  if (!layout || node.outputs.length !== layout.count * updated + 2) {
    throw new AppError(
      'engine/optimiser',
      `${kind} "${node.name}" has ${node.inputs.length} inputs and ${node.outputs.length} outputs, which do not match.`,
    );
  }
  const settings = optimiserSettings(node);
  const rest = node.inputs.slice(layout.header);
  const weights = Array.from({ length: layout.count }, (_, index): OptimisedWeight => {
    const [weight = '', gradient = '', ...moments] = rest.slice(index * width, (index + 1) * width);
    return {
      weight,
      gradient,
      moments,
      decays: weightDecays(node, settings, index),
      outputs: node.outputs.slice(index * updated, (index + 1) * updated),
    };
  });
  return {
    kind,
    settings,
    learningRate,
    step,
    clipNorm,
    lossScale: layout.lossScaled ? lossScale : undefined,
    factors: layout.factors ? node.inputs.at(-1) : undefined,
    weights,
    gradNorm: node.outputs.at(-2) ?? '',
    stepDone: node.outputs.at(-1) ?? '',
  };
}
