/** The model as the form describes it, before anything is trained: its layers, its size, and the time it would take. */
import { AppError } from '../core/errors';
import { describeBlueprint, totalsOf, type LayerDescription } from '../blueprints/plan';
import { BLUEPRINT_LIMITS } from '../blueprints/limits';
import type { OwnBlueprint, TrainingConfig } from '../protocol/entities';
import { BLUEPRINTS, defaultTraining } from '../services/defaults';

export { BLUEPRINT_LIMITS, defaultTraining };
export type Kind = OwnBlueprint['kind'];

/** What a kind of blueprint begins with. */
export function blueprintOf(kind: Kind): OwnBlueprint {
  return BLUEPRINTS[kind];
}

/** The same list at another length: a new layer is as the last one, a new block has twice its filters. */
export function resized(sizes: readonly number[], count: number, factor: 1 | 2): readonly number[] {
  const most =
    factor === 1 ? BLUEPRINT_LIMITS.hidden.width[1] : BLUEPRINT_LIMITS.blocks.channels[1];
  const result = sizes.slice(0, count);
  while (result.length < count) result.push(Math.min(most, (result.at(-1) ?? 16) * factor));
  return result;
}

export interface ModelShape {
  readonly layers: readonly LayerDescription[];
  readonly weights: number;
  readonly bytes: number;
  readonly multiplyAdds: number;
  /** Why the blueprint does not fit, and the wire where: the one into `layers[at]`, or past the end. */
  readonly problem: { readonly error: AppError; readonly at: number } | null;
}

const NOTHING = { weights: 0, bytes: 0, multiplyAdds: 0 };

export function shapeOf(
  config: OwnBlueprint,
  featureDims: readonly number[],
  outputs: number,
): ModelShape {
  try {
    const layers = describeBlueprint(config, featureDims, outputs);
    return { layers, ...totalsOf(layers), problem: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return {
      ...fitting(config, featureDims, outputs),
      problem: { error, at: failingAt(config, error) },
    };
  }
}

/** The part of a CNN that does fit, so that the wire behind it can be shown in red. */
function fitting(
  config: OwnBlueprint,
  featureDims: readonly number[],
  outputs: number,
): Omit<ModelShape, 'problem'> {
  if (config.kind !== 'cnn' || featureDims.length !== 3) return { layers: [], ...NOTHING };
  for (let blocks = config.channels.length - 1; blocks > 0; blocks--) {
    try {
      const shorter = { ...config, channels: config.channels.slice(0, blocks) };
      const layers = describeBlueprint(shorter, featureDims, outputs);
      const kept = layers.filter(({ name }) => name.startsWith('block'));
      return { layers: kept, ...totalsOf(kept) };
    } catch (error) {
      // One block fewer may fit; anything but a misfit is a fault of ours.
      if (!(error instanceof AppError)) throw error;
    }
  }
  return { layers: [], ...NOTHING };
}

function failingAt(config: OwnBlueprint, error: AppError): number {
  if (config.kind !== 'cnn' || error.code !== 'blueprint/too-small') return 0;
  const block = Number(/\d+/.exec(String(error.data.block))?.[0] ?? 1);
  const perBlock = config.batchNorm ? 4 : 3;
  return (block - 1) * perBlock;
}

/** A training step is a forward and a backward pass: about three times the multiply-adds, two operations each. */
const OPERATIONS_PER_MULTIPLY_ADD = 6;

/**
 * Seconds of a whole training here, as the probe reckons an ordinary step: what the smallest step was measured to take,
 * plus the work of this one at the rate measured on a large product. Early stopping may end it sooner.
 */
export function secondsHere(
  shape: Pick<ModelShape, 'multiplyAdds'>,
  training: Pick<TrainingConfig, 'epochs' | 'batchSize'>,
  trainingRows: number,
  speed: { readonly gflops: number; readonly stepMs: number },
): number {
  const steps = Math.ceil(trainingRows / training.batchSize) * training.epochs;
  const operations = shape.multiplyAdds * OPERATIONS_PER_MULTIPLY_ADD * training.batchSize;
  return steps * (speed.stepMs / 1000 + operations / (speed.gflops * 1e9));
}
