/** A training run with everything that draws random numbers or remembers: small enough to be broken off at each step. */
import { PhiloxStream } from '../../src/core/philox';
import { BatchMaker } from '../../src/data/batches/batches';
import type { FeatureSource } from '../../src/data/batches/features';
import { augment, augmentDraws } from '../../src/data/batches/augment';
import { compileRecipe } from '../../src/data/recipe/compile';
import type { Executor } from '../../src/engine/executor';
import { writeModel } from '../../src/onnx/writer';
import type { Checkpoint, FittedRecipe, RunConfig } from '../../src/protocol/entities';
import { assembleModel } from '../../src/training/assemble';
import type { Batch, BatchCursor, BatchSource } from '../../src/training/batch-source';
import { RunControl } from '../../src/training/control';
import { train } from '../../src/training/loop';
import type { LoopSummary } from '../../src/training/loop-types';
import { loopBasis, openSession } from '../../src/training/session';
import { loadCheckpoint, saveCheckpoint } from '../../src/training/stored-run';

const SIDE = 8;
const PIXELS = SIDE * SIDE;
const ROWS = { train: 28, validation: 9 };
const SEED = 11;
const AUGMENT = { shift: 1, rotate: 15, zoom: 0.1, brightness: 0.2 };

const RECIPE: FittedRecipe = {
  format: 1,
  input: { type: 'images', channels: 1, height: SIDE, width: SIDE },
  featureDims: [1, SIDE, SIDE],
  target: { task: 'classification', column: 'label', classes: ['across', 'down', 'noise'] },
};

type Config = Pick<RunConfig, 'task' | 'blueprint' | 'training' | 'seed'>;

/** Dropout, batch norms, accumulation, clipping, early stopping, a schedule with warm-up, and moments. */
export const EVERYTHING: Config = {
  task: 'classification',
  blueprint: {
    kind: 'cnn',
    channels: [4],
    batchNorm: true,
    pool: 'max',
    globalPool: false,
    dense: 6,
    dropout: 0.3,
  },
  training: {
    epochs: 8,
    batchSize: 8,
    accumulate: 2,
    learningRate: 0.4,
    optimiser: { kind: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
    schedule: { kind: 'cosine', warmup: 0.1 },
    clipNorm: 0.5,
    loss: 'softmax-ce',
    classWeights: 'balanced',
    patience: 1,
    augment: AUGMENT,
    maxSeconds: null,
  },
  seed: SEED,
};

const PREPARED = { recipe: RECIPE, parts: { ...ROWS, test: 0 } };

function pictures(): { pixels: Uint8Array; labels: Float64Array } {
  const count = ROWS.train + ROWS.validation;
  const stream = new PhiloxStream(3, 'pictures');
  const labels = Float64Array.from({ length: count }, (_, row) => row % 3);
  const pixels = Uint8Array.from({ length: count * PIXELS }, (_, at) => {
    const label = labels[Math.floor(at / PIXELS)] ?? 0;
    const line = label === 0 ? Math.floor((at % PIXELS) / SIDE) : at % SIDE;
    const level = label === 2 ? stream.uniform() : (line % 2) * 0.7 + 0.3 * stream.uniform();
    return Math.floor(level * 255);
  });
  return { pixels, labels };
}

/** The data worker's own batches, with its own augmentation, made in this thread. */
class Pictures implements BatchSource {
  readonly #maker: BatchMaker;

  constructor({ training }: Config) {
    const { pixels, labels } = pictures();
    const rows = Uint32Array.from(labels, (_, row) => row);
    const parts = {
      train: rows.slice(0, ROWS.train),
      validation: rows.slice(ROWS.train),
      test: new Uint32Array(),
    };
    const features: FeatureSource = {
      fill(part, positions, epoch, out) {
        positions.forEach((position, index) => {
          const row = parts[part][position] ?? 0;
          const source = pixels.subarray(row * PIXELS, (row + 1) * PIXELS);
          const changed = part === 'train' ? new Uint8Array(PIXELS) : source;
          if (part === 'train') {
            const size = { channels: 1, height: SIDE, width: SIDE };
            augment(source, changed, size, AUGMENT, augmentDraws(SEED, row, epoch));
          }
          out.set(
            Float32Array.from(changed, (level) => level / 255),
            index * PIXELS,
          );
        });
      },
    };
    const { classes } = RECIPE.target as { readonly classes: readonly string[] };
    this.#maker = new BatchMaker({
      parts,
      target: { column: 'label', task: 'classification', classes, values: labels },
      recipe: RECIPE,
      features,
      batchSize: training.batchSize,
      classWeights: training.classWeights,
      seed: SEED,
    });
  }

  async next({ part, epoch, index }: BatchCursor): Promise<Batch> {
    const made = this.#maker.make({ part, epoch, index, recycle: null });
    return {
      ...{ part, epoch, index, rows: made.rows },
      features: new Float32Array(made.features),
      labels: new Int32Array(made.labels),
      weights: new Float32Array(made.weights),
    };
  }

  release(): void {
    // Nothing is used twice here.
  }

  dispose(): void {
    // Nothing is held.
  }
}

export interface Kept {
  readonly checkpoint: Checkpoint;
  readonly state: ArrayBuffer;
  readonly best: ArrayBuffer | null;
}

export interface PictureRun {
  readonly summary: LoopSummary;
  /** SHA-256 of the finished model's file. */
  readonly hash: string;
  /** What the store was given, at every step where `saving`. */
  readonly kept: readonly Kept[];
}

/** Trains on the pictures, from the beginning or from what a store kept. */
export async function trainPictures(
  executor: Executor,
  config: Config,
  { saving = false, from = null }: { saving?: boolean; from?: Kept | null } = {},
): Promise<PictureRun> {
  const session = await openSession(executor, config, PREPARED);
  const kept: Kept[] = [];
  const place = { sha256: '', storageKey: '', bytes: 0 };
  const store: Parameters<typeof saveCheckpoint>[0] = {
    putCheckpoint: async (draft, state, best) => {
      const record: Checkpoint = { ...draft, format: 1, createdAt: 0, state: place, best: null };
      kept.push(structuredClone({ checkpoint: record, state, best }));
    },
    getCheckpoint: async () => structuredClone(from),
  };
  try {
    const run = train({
      ...loopBasis(session, config, PREPARED),
      batches: new Pictures(config),
      control: new RunControl(),
      lost: executor.lost,
      checkpoint: {
        everySeconds: saving ? 0 : 1e9,
        save: (checkpoint) =>
          saveCheckpoint(store, { runId: 'r', executor: executor.name }, session, checkpoint),
      },
      resumeFrom: from && (await loadCheckpoint(store, 'r', session)),
    });
    for (;;) {
      const next = await run.next();
      if (!next.done) continue;
      const summary = next.value;
      const recipe = compileRecipe(RECIPE);
      const { loss } = config.training;
      const { graph } = assembleModel(recipe, session.forward, summary.state, RECIPE, loss);
      return { summary, hash: await sha256(writeModel(graph)), kept };
    }
  } finally {
    session.dispose();
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
