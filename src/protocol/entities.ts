/**
 * The words of the studio as records: what the store keeps and every part speaks. Immutable manifests carry
 * `format: 1`; a Project is the only mutable one. Ids of immutable things are SHA-256 of their canonical JSON.
 */
import type { BaseOf, PretrainedBlueprint } from './fine-tune';
import type { ImagePreparation, PictureFit, PictureIntake, SplitConfig } from './pictures';
import type { ClassificationReport, LatencyReport, RegressionReport } from './reports';
import type { SkippedSteps, TrainingConfig } from './training';

export type * from './pictures';
export type * from './reports';
export type * from './training';

export type Id = string;
/** Milliseconds since 1970. */
export type Timestamp = number;

export type TaskType = 'classification' | 'regression';

// ---- data -------------------------------------------------------------------------------------------------

/** What a column is taken for. Only `numeric` and `categorical` reach a model; the rest is kept and shown. */
export type ColumnKind = 'numeric' | 'categorical' | 'identifier' | 'constant' | 'text' | 'date';

export interface ChunkRef {
  readonly sha256: string;
  readonly storageKey: string;
  readonly bytes: number;
  /** What is too large for one record lies in these, end to end; then nothing lies at `storageKey` itself. */
  readonly parts?: readonly ChunkRef[];
}

/** Where a stored column's values lie: one little-endian array over the chunks, in row order. */
export interface ColumnManifest {
  readonly name: string;
  readonly kind: ColumnKind;
  /** numeric: float64 with NaN for missing; everything else: int32 codes into `vocabulary`, -1 for missing. */
  readonly storage: 'float64' | 'codes';
  /** Distinct texts in order of first appearance; empty for numeric, and where `vocabularyChunks` holds them. */
  readonly vocabulary: readonly string[];
  /** A long vocabulary as one UTF-8 JSON array over these chunks. */
  readonly vocabularyChunks?: readonly ChunkRef[];
  readonly missing: number;
  readonly distinct: number;
  /** Numeric only. */
  readonly min?: number;
  readonly max?: number;
  readonly chunks: readonly ChunkRef[];
}

export interface TableManifest {
  readonly format: 1;
  readonly type: 'table';
  readonly name: string;
  readonly rows: number;
  readonly columns: readonly ColumnManifest[];
  readonly source: DataSource;
}

export interface ImagesManifest {
  readonly format: 1;
  readonly type: 'images';
  readonly name: string;
  readonly rows: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly classes: readonly string[];
  /** uint8 NCHW pixels. */
  readonly pixels: readonly ChunkRef[];
  /** uint8 class index of each image. */
  readonly labels: readonly ChunkRef[];
  readonly source: DataSource;
  /** Which group (vendor, place, day) each image comes from, where they came in groups. */
  readonly groups?: {
    readonly names: readonly string[];
    /** uint8 index into `names` of each image. */
    readonly chunks: readonly ChunkRef[];
  };
  /** How pictures of other shapes were made square; serving does the same. */
  readonly fit?: PictureFit;
  /** What was odd about the files that they came from, so that nothing is lost silently. */
  readonly intake?: PictureIntake;
}

export type DatasetManifest = TableManifest | ImagesManifest;

export interface DataSource {
  readonly kind: 'embedded' | 'file' | 'paste' | 'project-file' | 'folder' | 'zip' | 'camera';
  readonly name: string;
  readonly licence?: string;
  readonly origin?: string;
}

export interface DatasetVersion {
  readonly id: Id;
  readonly createdAt: Timestamp;
  readonly manifest: DatasetManifest;
  /** Came with a project file that left the rows out: there is nothing to read until the source is imported again. */
  readonly rowsLeftOut?: boolean;
}

/** Why a column is left out, or a warning before training. `message` is for people. */
export interface DataFinding {
  readonly code:
    | 'identifier'
    | 'constant'
    | 'free-text'
    | 'date'
    | 'too-many-categories'
    | 'few-rows'
    | 'small-class'
    | 'suspicious'
    | 'missing-target'
    | 'too-large'
    | 'left-out'
    | 'duplicates'
    | 'contradictions';
  readonly column?: string;
  readonly message: string;
}

// ---- goal, recipe, split ----------------------------------------------------------------------------------

export type MetricName = 'accuracy' | 'f1_macro' | 'mae' | 'rmse' | 'r2';

export interface Gate {
  readonly kind: 'metric' | 'size' | 'latency';
  /** Only for `metric`. */
  readonly metric?: MetricName;
  /** metric: the metric's own unit (fractions for accuracy); size: bytes; latency: milliseconds. */
  readonly threshold: number;
}

export type GateOutcome = 'met' | 'not-met' | 'too-few';

export interface RecipeConfig {
  readonly format: 1;
  /** Column name -> use it as a feature or not; columns not named follow the automatic choice. */
  readonly use: Readonly<Record<string, boolean>>;
  readonly imputeNumeric: 'median' | 'mean';
  readonly standardise: boolean;
  /** What pictures become on their way to the model; absent: their levels as 0 to 1. */
  readonly image?: ImagePreparation;
}

/** A recipe after fitting on the training part: all that serving needs, as plain figures. */
export interface FittedRecipe {
  readonly format: 1;
  readonly input:
    | {
        readonly type: 'table';
        readonly numeric: readonly NumericFeature[];
        readonly categorical: readonly CategoricalFeature[];
      }
    | ({
        readonly type: 'images';
        /** As stored, before `resize` and `channelsTo`. */
        readonly channels: number;
        readonly height: number;
        readonly width: number;
        readonly fit?: PictureFit;
      } & ImagePreparation);
  /** Shape of one row of features: `[F]` or `[C, H, W]`. */
  readonly featureDims: readonly number[];
  readonly target:
    | {
        readonly task: 'classification';
        readonly column: string;
        readonly classes: readonly string[];
      }
    | {
        readonly task: 'regression';
        readonly column: string;
        readonly mean: number;
        readonly scale: number;
      };
}

export interface NumericFeature {
  readonly column: string;
  readonly impute: number;
  readonly mean: number;
  readonly scale: number;
  /** Range seen in training, for "outside what it has seen". */
  readonly min: number;
  readonly max: number;
}

export interface CategoricalFeature {
  readonly column: string;
  /** Code 0 missing, 1 other, 2… these, in this order. */
  readonly vocabulary: readonly string[];
  readonly typical: string;
}

export type SplitPart = 'train' | 'validation' | 'test';

// ---- model and training -----------------------------------------------------------------------------------

export type Activation = 'relu' | 'tanh' | 'sigmoid' | 'gelu';

export type BlueprintConfig =
  | { readonly kind: 'linear' }
  | {
      readonly kind: 'mlp';
      readonly hidden: readonly number[];
      readonly activation: Activation;
      readonly dropout: number;
    }
  | {
      readonly kind: 'cnn';
      /** Channels of each block: conv 3x3, batch norm, relu, pool 2x2. */
      readonly channels: readonly number[];
      readonly batchNorm: boolean;
      readonly pool: 'max' | 'average';
      /** Global average pool before the dense head, else flatten. */
      readonly globalPool: boolean;
      /** Width of a hidden dense layer after the blocks; 0 for none. */
      readonly dense: number;
      readonly dropout: number;
    }
  | PretrainedBlueprint;

/** An architecture of the studio's own, built from its settings alone. */
export type OwnBlueprint = Exclude<BlueprintConfig, PretrainedBlueprint>;

export type ExecutorChoice = 'auto' | 'webgpu' | 'wasm' | 'reference';

/** Everything that decides a Run's outcome. Its canonical JSON is hashed into the Run's id. */
export interface RunConfig {
  readonly format: 1;
  readonly datasetId: Id;
  readonly target: string;
  readonly task: TaskType;
  readonly recipe: RecipeConfig;
  readonly split: SplitConfig;
  readonly blueprint: BlueprintConfig;
  readonly training: TrainingConfig;
  readonly seed: number;
  readonly executor: ExecutorChoice;
}

export type RunStatus =
  'preparing' | 'running' | 'paused' | 'interrupted' | 'done' | 'stopped' | 'failed';

/** One point of the curves: after a step (training) or an epoch (validation). */
export interface MetricPoint {
  readonly step: number;
  readonly epoch: number;
  readonly series: 'training' | 'validation';
  readonly loss: number;
  /** accuracy or RMSE on validation; absent on training points. */
  readonly metric?: number;
  readonly learningRate?: number;
  readonly gradNorm?: number;
}

export interface Run {
  readonly id: Id;
  readonly projectId: Id;
  readonly number: number;
  readonly name: string;
  readonly role: 'model' | 'baseline';
  readonly config: RunConfig;
  readonly status: RunStatus;
  readonly createdAt: Timestamp;
  readonly finishedAt: Timestamp | null;
  /** Executor that really ran, why it was chosen, plan id and device in words. */
  readonly device: {
    readonly executor: ExecutorName;
    readonly reason: string;
    readonly planId: string;
    readonly label: string;
  } | null;
  readonly graphHash: string | null;
  readonly codeVersion: string;
  readonly curve: readonly MetricPoint[];
  readonly best: {
    readonly epoch: number;
    readonly loss: number;
    readonly metric: number;
    readonly correct?: number;
    readonly total?: number;
  } | null;
  readonly seconds: number;
  readonly examplesPerSecond: number;
  readonly stepsDone: number;
  readonly stepsTotal: number;
  /** Numbers that learn; a pretrained body may hold many more that do not. */
  readonly trainable?: number;
  /** What it was really computed in; float32 where absent. */
  readonly precision?: 'float32' | 'float16';
  /** Where gradients were accumulated: rows of a micro-batch, and whether batch norms saw no more than those. */
  readonly microBatch?: { readonly rows: number; readonly batchNorm: boolean };
  readonly skipped?: SkippedSteps;
  /** What came between it and its end, in order: what was lost, and how it went on. */
  readonly incidents?: readonly RunIncident[];
  /** Where its numbers ran away: what was known at that step. */
  readonly divergence?: Divergence;
  readonly modelVersionId: Id | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

export type ExecutorName = 'webgpu' | 'wasm' | 'reference';

/** Something that befell a run, at the step that it had come to. */
export type RunIncident = { readonly at: Timestamp; readonly step: number } & (
  | {
      /** `checkpoint-missed`: one was wanted when the page was left, and could not be asked for. */
      readonly kind:
        'device-lost' | 'worker-died' | 'disk-full' | 'room-again' | 'checkpoint-missed';
      readonly reason: string;
    }
  /** Goes on from the checkpoint at `step`, which was made on `before`; `exact` where the arithmetic is the same. */
  | {
      readonly kind: 'resumed';
      readonly executor: ExecutorName;
      readonly planId: string;
      readonly before: { readonly executor: ExecutorName; readonly planId: string };
      readonly exact: boolean;
    }
  /** To another executor than it began on. */
  | { readonly kind: 'moved'; readonly executor: ExecutorName; readonly reason: string }
  /** Memory ran out: from here on batches go through the model in parts of so many rows. */
  | { readonly kind: 'divided'; readonly rows: number; readonly reason: string }
);

/** What was known when a loss or a weight was no longer a finite number. */
export interface Divergence {
  readonly step: number;
  /** Which was not finite: the loss of a step, weights, or the loss on the validation part. */
  readonly what: 'loss' | 'weights' | 'validation';
  readonly learningRate: number;
  /** Of the last steps before it, oldest first. */
  readonly gradNorms: readonly number[];
  readonly clipNorm: number;
  readonly precision: 'float32' | 'float16';
  /** Columns whose values reach the model unscaled, and the largest of each. */
  readonly unscaled: readonly { readonly column: string; readonly largest: number }[];
  /** The epoch whose weights were kept; null where none was good. */
  readonly keptEpoch: number | null;
}

/** Two-slot checkpoint: State, best State, and where the loop stood. */
export interface Checkpoint {
  readonly format: 1;
  readonly runId: Id;
  readonly step: number;
  readonly epoch: number;
  readonly createdAt: Timestamp;
  readonly planId: string;
  readonly executor: ExecutorName;
  /** What it is computed in, and rows that go through the model at once; absent in what was written before this was. */
  readonly precision?: 'float32' | 'float16';
  readonly rows?: number;
  /** Tensors in order, laid end to end as float32 in `state` (and `best`). */
  readonly tensors: readonly { readonly name: string; readonly dims: readonly number[] }[];
  readonly state: ChunkRef;
  readonly best: ChunkRef | null;
  /** Loop state that must survive: early stopping, curve so far, elapsed seconds. */
  readonly loop: LoopState;
}

export interface LoopState {
  readonly curve: readonly MetricPoint[];
  readonly bestLoss: number | null;
  readonly bestEpoch: number;
  readonly bestMetric: number | null;
  readonly epochsWithoutGain: number;
  readonly seconds: number;
  /** Loss sums of the epoch under way, so that its mean is right after resuming. */
  readonly epochLossSum: number;
  readonly epochLossWeight: number;
  readonly skipped?: SkippedSteps;
}

// ---- models and evaluations -------------------------------------------------------------------------------

export type Stage = 'draft' | 'candidate' | 'champion' | 'retired';

export interface ModelSignature {
  readonly task: TaskType;
  readonly classes: readonly string[];
  /** Graph inputs with symbolic `batch`. */
  readonly inputs: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly dims: readonly (number | string)[];
  }[];
  readonly outputs: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly dims: readonly (number | string)[];
  }[];
}

export interface ModelVersion {
  readonly id: Id;
  readonly format: 1;
  readonly projectId: Id;
  readonly number: number;
  readonly name: string;
  readonly stage: Stage;
  readonly createdAt: Timestamp;
  readonly kind: 'float32' | 'int8-dynamic' | 'int8-static' | 'imported';
  readonly runId: Id | null;
  /** The model this one was made from (compression). */
  readonly parentId: Id | null;
  readonly datasetId: Id | null;
  readonly graphHash: string;
  /** The `.onnx` file's bytes: the model itself. */
  readonly file: ChunkRef;
  readonly signature: ModelSignature;
  readonly recipe: FittedRecipe | null;
  readonly weights: number;
  readonly trashedAt: Timestamp | null;
  /** The pretrained body that it was taught from. */
  readonly base?: BaseOf;
  /** What a LoRA run learned, as a file of its own. */
  readonly adapter?: ChunkRef;
}

export interface Evaluation {
  readonly id: Id;
  readonly format: 1;
  readonly projectId: Id;
  readonly modelVersionId: Id;
  readonly datasetId: Id;
  readonly part: SplitPart | 'all';
  readonly createdAt: Timestamp;
  readonly rows: number;
  readonly report: ClassificationReport | RegressionReport;
  /** Median and 95th percentile for one row, and rows a second in batches, on this device. */
  readonly latency: LatencyReport;
  readonly bytes: number;
}

// ---- project ----------------------------------------------------------------------------------------------

export interface Project {
  readonly id: Id;
  readonly name: string;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
  readonly trashedAt: Timestamp | null;
  /** Set for projects of a temporary session: erased at "Finish here". */
  readonly temporary: boolean;
  readonly starter: 'penguins' | 'digits' | 'emoji' | null;
  readonly datasetId: Id | null;
  readonly target: string | null;
  readonly task: TaskType | null;
  readonly gates: readonly Gate[];
  readonly recipe: RecipeConfig;
  readonly split: SplitConfig;
  readonly blueprint: BlueprintConfig | null;
  readonly training: TrainingConfig | null;
  readonly seed: number;
  readonly executor: ExecutorChoice;
  /** How often the sealed test part was opened; never goes down. */
  readonly testOpened: number;
  /** Counts every write; a writer holding an older revision is refused (`store/conflict`). */
  readonly revision: number;
}

/** The fields of a Project that a person edits. */
export type ProjectEdit = Partial<
  Pick<
    Project,
    | 'name'
    | 'datasetId'
    | 'target'
    | 'task'
    | 'gates'
    | 'recipe'
    | 'split'
    | 'blueprint'
    | 'training'
    | 'seed'
    | 'executor'
    | 'temporary'
  >
>;
