/**
 * Makes any batch of any epoch from its cursor alone (protocol/batches.ts): rows shuffled by Philox per epoch, the
 * tail filled with real rows of the next permutation at weight 0. Nothing is remembered between batches but
 * permutations, so resuming needs no replay.
 */
import { AppError } from '../../core/errors';
import { PhiloxStream } from '../../core/philox';
import { shuffled } from '../split';
import type { BatchMessage, BatchRequest } from '../../protocol/batches';
import type { FittedRecipe, TrainingConfig } from '../../protocol/entities';
import type { Parts } from '../split';
import type { Target } from '../target';
import type { FeatureSource } from './features';

export interface BatchPlan {
  readonly parts: Parts;
  readonly target: Target;
  readonly recipe: FittedRecipe;
  readonly features: FeatureSource;
  readonly batchSize: number;
  readonly classWeights: TrainingConfig['classWeights'];
  readonly seed: number;
}

export function batchesPerEpoch(rows: number, batchSize: number): number {
  return Math.ceil(rows / batchSize);
}

export class BatchMaker {
  readonly #plan: BatchPlan;
  readonly #size: number;
  readonly #classWeights: Float64Array;
  readonly #permutations = new Map<number, Uint32Array>();

  constructor(plan: BatchPlan) {
    this.#plan = plan;
    this.#size = plan.recipe.featureDims.reduce((product, dim) => product * dim, 1);
    this.#classWeights =
      plan.classWeights === 'balanced'
        ? balancedWeights(classCounts(plan.target, plan.parts.train))
        : new Float64Array(plan.target.classes.length).fill(1);
  }

  /** Buffers of `request.recycle` are used again where their sizes fit. */
  make(
    request: Pick<BatchRequest, 'part' | 'epoch' | 'index' | 'recycle' | 'features'>,
  ): BatchMessage {
    const { part, epoch, index, recycle } = request;
    const wanted = request.features !== false;
    const { parts, target, recipe, features: source, batchSize } = this.#plan;
    const rowsOfPart = parts[part];
    if (index < 0 || epoch < 0 || index >= batchesPerEpoch(rowsOfPart.length, batchSize)) {
      throw new AppError(
        'data/no-such-batch',
        `The ${part} part of ${rowsOfPart.length} rows has no batch ${index} in epoch ${epoch}.`,
        { part, epoch, index },
      );
    }
    const features = buffer(recycle?.[0], wanted ? batchSize * this.#size * 4 : 0);
    const labels = buffer(recycle?.[1], batchSize * 4);
    const weights = buffer(recycle?.[2], batchSize * 4);
    const positions = this.#positions(part, epoch, index * batchSize);
    if (wanted) source.fill(part, positions, epoch, new Float32Array(features));

    const rows = Uint32Array.from(positions, (position) => rowsOfPart[position] ?? 0);
    const weightOf = new Float32Array(weights);
    const { task } = target;
    const numbers = task === 'classification' ? new Int32Array(labels) : new Float32Array(labels);
    const scale = recipe.target.task === 'regression' ? recipe.target : { mean: 0, scale: 1 };
    rows.forEach((row, place) => {
      const value = target.values[row] ?? 0;
      numbers[place] = task === 'classification' ? value : (value - scale.mean) / scale.scale;
      const filling = index * batchSize + place >= rowsOfPart.length;
      const weight = part === 'train' && task === 'classification' ? this.#classWeights[value] : 1;
      weightOf[place] = filling ? 0 : (weight ?? 1);
    });
    return { type: 'batch', part, epoch, index, features, labels, weights, rows };
  }

  /** Places in the part of the batch that begins at `start`; beyond the end the next permutations go on. */
  #positions(part: BatchRequest['part'], epoch: number, start: number): Uint32Array {
    const count = this.#plan.parts[part].length;
    return Uint32Array.from({ length: this.#plan.batchSize }, (_, place) => {
      const cursor = start + place;
      if (part === 'validation') return cursor % count;
      return this.#permutation(epoch + Math.floor(cursor / count))[cursor % count] ?? 0;
    });
  }

  #permutation(epoch: number): Uint32Array {
    const known = this.#permutations.get(epoch);
    if (known) return known;
    const positions = this.#plan.parts.train.map((_, position) => position);
    const order = shuffled(positions, new PhiloxStream(this.#plan.seed, 'shuffle', epoch));
    this.#permutations.set(epoch, order);
    for (const old of [...this.#permutations.keys()].slice(0, -3)) this.#permutations.delete(old);
    return order;
  }
}

export function classCounts({ classes, values }: Target, rows: Uint32Array): number[] {
  const counts = classes.map(() => 0);
  for (const row of rows) {
    const value = values[row] ?? Number.NaN;
    if (!Number.isNaN(value)) counts[value] = (counts[value] ?? 0) + 1;
  }
  return counts;
}

/** n / (k n_c) for each class (scikit-learn's "balanced"); a class without rows weighs nothing. */
export function balancedWeights(counts: readonly number[]): Float64Array {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return Float64Array.from(counts, (count) => (count > 0 ? total / (counts.length * count) : 0));
}

function buffer(used: ArrayBuffer | undefined, bytes: number): ArrayBuffer {
  return used?.byteLength === bytes ? used : new ArrayBuffer(bytes);
}
