/**
 * The contracts between the page and its workers, and between workers. Every method is called over Comlink:
 * arguments and results are structured clones (ArrayBuffers transferred where marked), errors are rebuilt as
 * AppError (protocol/errors.ts), and a long call takes a `callId` that `cancel` names. Callbacks are Comlink
 * proxies of plain functions; an AbortSignal never crosses.
 */
import type { GraphPicture, GraphSource, NodeDetails } from './graph-view';
import type {
  Checkpoint,
  ChunkRef,
  DatasetManifest,
  DatasetVersion,
  DataFinding,
  Evaluation,
  ExecutorChoice,
  FittedRecipe,
  Id,
  ImportanceReport,
  ModelVersion,
  PairedComparison,
  PredictionRow,
  Project,
  ProjectEdit,
  Run,
  RunConfig,
  SplitPart,
  Stage,
  TaskType,
} from './entities';
import type { ModelFilesApi } from './model-files';
import type { BackupStoreApi } from './backup';
import type { PictureOptions, PictureSource, PictureSurvey } from './pictures';
import type { ImportStoreApi, InterruptedImport } from './imports';
import type { PretrainedStoreApi } from './pretrained';
import type { OnProgress } from './progress';
import type { VaultStoreApi } from './vault';
import type { StorageApi, StorageLoss, StoreMark } from './storage';
import type { TabsStoreApi } from './tabs';
import type { Prepared } from './train';

export type * from './memory';
export type * from './pictures';
export type * from './progress';
export type * from './train';

// ---- store worker: the only owner of Dexie ----------------------------------------------------------------

export interface StoreApi
  extends
    BackupStoreApi,
    ImportStoreApi,
    StorageApi,
    PretrainedStoreApi,
    TabsStoreApi,
    VaultStoreApi {
  /** Opens the databases, finishes or rolls back what a crash left, and says what it found. */
  open(): Promise<StoreStatus>;
  /** Bytes are hashed and written once; equal bytes give the same reference. `bytes` is transferred. */
  putChunk(bytes: ArrayBuffer, importId?: Id): Promise<ChunkRef>;
  /** Verified on read; `store/corrupt` names the chunk. */
  getChunk(ref: ChunkRef): Promise<ArrayBuffer>;
  /** Gives up chunks whose manifest will not come (an import cancelled or refused); shared ones stay. */
  discardChunks(refs: readonly ChunkRef[], importId?: Id): Promise<void>;
  /** Closes the import's journal in the same transaction. */
  putDataset(manifest: DatasetManifest, importId?: Id): Promise<DatasetVersion>;
  getDataset(id: Id): Promise<DatasetVersion>;
  listDatasets(): Promise<readonly DatasetVersion[]>;

  createProject(
    project: Omit<
      Project,
      'id' | 'createdAt' | 'updatedAt' | 'trashedAt' | 'testOpened' | 'revision'
    >,
    /** An open and empty lock that it is made for. */
    into?: Id,
  ): Promise<Project>;
  editProject(id: Id, revision: number, edit: ProjectEdit): Promise<Project>;
  getProject(id: Id): Promise<Project>;
  listProjects(options?: { trashed?: boolean }): Promise<readonly Project[]>;
  duplicateProject(id: Id): Promise<Project>;
  /** What goes with it and how many bytes nothing else references. */
  describeDeletion(
    id: Id,
  ): Promise<{ readonly runs: number; readonly models: number; readonly bytes: number }>;
  trashProject(id: Id): Promise<Project>;
  restoreProject(id: Id): Promise<Project>;
  eraseProject(id: Id): Promise<{ readonly bytes: number }>;
  /** Counts an opening of the sealed test part and returns the project. */
  openTest(id: Id): Promise<Project>;

  createRun(run: Omit<Run, 'id' | 'number'>): Promise<Run>;
  updateRun(id: Id, change: Partial<Omit<Run, 'id' | 'projectId' | 'number'>>): Promise<Run>;
  /**
   * The end of a run: its model and its record in one transaction, so that neither is ever there without the other.
   * A run that has ended with a model keeps it: the same call again changes nothing and answers with what is there.
   */
  finishRun(
    id: Id,
    change: RunEnd,
    model: ModelDraft,
    file: ArrayBuffer,
    adapter?: ArrayBuffer | null,
  ): Promise<{ readonly run: Run; readonly model: ModelVersion }>;
  getRun(id: Id): Promise<Run>;
  listRuns(projectId: Id): Promise<readonly Run[]>;
  /** Writes the other slot, then flips the pointer in a strict transaction. Buffers are transferred. */
  putCheckpoint(
    checkpoint: Omit<Checkpoint, 'state' | 'best' | 'createdAt' | 'format'>,
    state: ArrayBuffer,
    best: ArrayBuffer | null,
  ): Promise<void>;
  getCheckpoint(runId: Id): Promise<{
    readonly checkpoint: Checkpoint;
    readonly state: ArrayBuffer;
    readonly best: ArrayBuffer | null;
  } | null>;

  putModel(
    model: ModelDraft,
    file: ArrayBuffer,
    adapter?: ArrayBuffer | null,
  ): Promise<ModelVersion>;
  getModel(id: Id): Promise<ModelVersion>;
  listModels(projectId: Id): Promise<readonly ModelVersion[]>;
  /** Making one champion retires the former champion of the project. */
  setStage(id: Id, stage: Stage): Promise<ModelVersion>;
  renameModel(id: Id, name: string): Promise<ModelVersion>;
  trashModel(id: Id): Promise<ModelVersion>;
  restoreModel(id: Id): Promise<ModelVersion>;

  putEvaluation(
    evaluation: Omit<Evaluation, 'id' | 'createdAt' | 'format'>,
    predictions: readonly PredictionRow[],
  ): Promise<Evaluation>;
  listEvaluations(projectId: Id): Promise<readonly Evaluation[]>;
  getPredictions(evaluationId: Id): Promise<readonly PredictionRow[]>;

  /** `.terrarium`: one zip with a manifest and hashes; with or without the rows. Larger ones go by `exportArchive`. */
  exportProject(
    id: Id,
    options: { readonly withData: boolean },
  ): Promise<{ readonly file: Blob; readonly contents: readonly string[] }>;
  /** The first project of the file. */
  importProject(file: Blob): Promise<Project>;

  getSetting(key: string): Promise<unknown>;
  setSetting(key: string, value: unknown): Promise<void>;
  usage(): Promise<{ readonly bytes: number; readonly quota: number; readonly persisted: boolean }>;
  /** Removes chunks that nothing references; returns the bytes freed. */
  collectGarbage(): Promise<number>;
  /** RELIABILITY's invariants: every problem found, in words; empty is healthy. */
  verify(): Promise<readonly string[]>;
  eraseEverything(): Promise<void>;
  /** Gives another worker its own connection to this store. The port is transferred. */
  connect(port: MessagePort): void;
}

export type ModelDraft = Omit<
  ModelVersion,
  'id' | 'number' | 'createdAt' | 'file' | 'adapter' | 'format' | 'trashedAt'
>;

/** What a run's record says at its end; the model's id is the store's to fill in. */
export type RunEnd = Partial<
  Omit<Run, 'id' | 'projectId' | 'number' | 'modelVersionId' | 'status'>
> & {
  readonly status: 'done' | 'stopped';
};

export interface StoreStatus {
  readonly version: number;
  /** Runs that were running when the tab went away; they can be resumed. */
  readonly interrupted: readonly Run[];
  /** The storage was written by a newer Terrarium: everything can be read and exported, nothing written. */
  readonly readOnly: boolean;
  /** Imports that a crash ended: to be made again from the same file, or discarded. */
  readonly interruptedImports: readonly InterruptedImport[];
  /** One of the two databases was thrown away by the browser, and the person has not acknowledged it yet. */
  readonly loss?: StorageLoss | null;
  /** What a page should remember of it; null where nothing can be written. */
  readonly mark?: StoreMark | null;
  /** Bytes that a crash left without a record and that were removed. */
  readonly rolledBack?: number;
}

// ---- data worker ------------------------------------------------------------------------------------------

export interface DataApi extends ModelFilesApi {
  connectStore(port: MessagePort): void;
  /** Parses in this worker's disposable parse worker; `file` is streamed. */
  importTable(
    callId: string,
    file: Blob,
    /** `into`: an open locked project; then nothing of the table touches the disk in the open. */
    source: { readonly name: string; readonly kind: 'file' | 'paste'; readonly into?: Id },
    onProgress: OnProgress,
  ): Promise<ImportResult>;
  importEmbedded(
    callId: string,
    name: 'penguins' | 'digits' | 'emoji',
    onProgress: OnProgress,
    into?: Id,
  ): Promise<ImportResult>;
  /** What a folder or zip of pictures holds, before anything is decoded: a person decides by it. */
  surveyPictures(
    callId: string,
    source: PictureSource,
    onProgress: OnProgress,
  ): Promise<PictureSurvey>;
  /**
   * Decodes, resizes and stores pictures one after the other; files that are no pictures are left out and named in
   * the manifest's `intake` and in the findings. Throws where nothing is left to learn from.
   */
  importPictures(
    callId: string,
    source: PictureSource,
    options: PictureOptions,
    onProgress: OnProgress,
  ): Promise<ImportResult>;
  /** One picture file as the input of a model that takes pictures. */
  readPicture(callId: string, file: Blob, recipe: FittedRecipe): Promise<RawPart['inputs']>;
  cancel(callId: string): void;
  /** Histograms and counts for the Data screen, stacked by target where one is given. */
  summarise(datasetId: Id, target: string | null): Promise<DatasetSummary>;
  /** Rows as shown text (`''` for missing), filtered and windowed; at most 500 a call. */
  rows(datasetId: Id, query: RowQuery): Promise<RowPage>;
  /** Pictures of an image dataset: uint8 CHW each. */
  images(datasetId: Id, rows: readonly number[]): Promise<readonly ImageItem[]>;
  suggestTarget(
    datasetId: Id,
  ): Promise<{ readonly column: string; readonly task: TaskType; readonly reason: string }>;
  /** Everything said before training: columns left out and why, warnings, rows set aside. */
  inspect(
    config: Pick<RunConfig, 'datasetId' | 'target' | 'task' | 'recipe' | 'split'>,
  ): Promise<Inspection>;
  /** Fits the recipe on the training part only and returns it with sizes of the parts. */
  prepare(config: RunConfig): Promise<Prepared>;
  /** Streams batches to the train worker over `port` by the protocol in protocol/batches.ts. */
  serveBatches(config: RunConfig, port: MessagePort): Promise<void>;
  /** Raw model inputs and truths of a part, for evaluation and calibration. Test rows only with `unsealed`. */
  readPart(
    config: RunConfig,
    recipe: FittedRecipe,
    part: SplitPart | 'all',
    options: { readonly unsealed: boolean; readonly limit?: number },
  ): Promise<RawPart>;
  /** Parses a table for prediction: the columns the recipe names, plus the original text lines. */
  readForPrediction(
    callId: string,
    file: Blob,
    recipe: FittedRecipe,
    onProgress: OnProgress,
  ): Promise<PredictionTable>;
}

export interface ImportResult {
  readonly dataset: DatasetVersion;
  readonly findings: readonly DataFinding[];
  /** What was understood: `;` · decimal comma · windows-1252. */
  readonly understood: readonly string[];
}

export interface DatasetSummary {
  readonly rows: number;
  readonly classes: readonly string[];
  readonly columns: readonly ColumnSummary[];
}

export interface ColumnSummary {
  readonly name: string;
  readonly kind: string;
  readonly missing: number;
  readonly distinct: number;
  readonly bars: readonly {
    readonly label: string;
    readonly low?: number;
    readonly high?: number;
    readonly count: number;
    /** by class, in order of `classes` */ readonly stacks: readonly number[];
  }[];
  readonly mean?: number;
  readonly median?: number;
  readonly min?: number;
  readonly max?: number;
}

export interface RowQuery {
  readonly offset: number;
  readonly limit: number;
  readonly filter?: {
    readonly column: string;
    readonly low?: number;
    readonly high?: number;
    readonly values?: readonly string[];
  };
  readonly rows?: readonly number[];
}

export interface RowPage {
  readonly total: number;
  readonly columns: readonly string[];
  readonly rows: readonly { readonly row: number; readonly cells: readonly string[] }[];
}

export interface ImageItem {
  readonly row: number;
  readonly label: string;
  readonly pixels: Uint8Array;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** Where the pictures came in groups. */
  readonly group?: string;
}

export interface Inspection {
  readonly features: readonly {
    readonly column: string;
    readonly used: boolean;
    readonly reason: string | null;
    readonly kind: string;
  }[];
  readonly findings: readonly DataFinding[];
  readonly usableRows: number;
  readonly setAside: number;
  readonly parts: Readonly<Record<SplitPart, number>>;
}

/** Feeds of a ModelVersion's own inputs (not features), plus truths. */
export interface RawPart {
  readonly inputs: readonly {
    readonly name: string;
    readonly dtype: 'float32' | 'int64' | 'uint8';
    readonly dims: readonly number[];
    readonly data: Float32Array | BigInt64Array | Uint8Array;
  }[];
  /** Class index or target value (original units) of each row. */
  readonly truth: Float64Array;
  /** Row of the DatasetVersion. */
  readonly rows: Uint32Array;
}

export interface PredictionTable extends Omit<RawPart, 'truth'> {
  readonly header: readonly string[];
  readonly cells: readonly (readonly string[])[];
  readonly delimiter: string;
  readonly findings: readonly string[];
}

// ---- infer worker: onnxruntime-web, what is shipped -------------------------------------------------------

export interface InferApi {
  connectStore(port: MessagePort): void;
  /** Output tensors for raw inputs; keeps the session of the last few models. */
  predict(model: ChunkRef, inputs: RawPart['inputs']): Promise<PredictionBatch>;
  evaluate(
    callId: string,
    request: EvaluateRequest,
    onProgress: OnProgress,
  ): Promise<EvaluateResult>;
  importance(
    callId: string,
    model: ChunkRef,
    recipe: FittedRecipe,
    part: RawPart,
    seed: number,
    onProgress: OnProgress,
  ): Promise<ImportanceReport>;
  compare(
    a: readonly PredictionRow[],
    b: readonly PredictionRow[],
    task: TaskType,
  ): Promise<PairedComparison>;
  /** int8 copies. Static quantisation calibrates on the part given (training rows). */
  quantise(
    callId: string,
    model: ChunkRef,
    mode: 'int8-dynamic' | 'int8-static',
    calibration: RawPart | null,
    onProgress: OnProgress,
  ): Promise<{ readonly model: ArrayBuffer; readonly notes: readonly string[] }>;
  /** Reads a person's `.onnx`, checks it and says what it is. */
  inspectModel(file: ArrayBuffer): Promise<InspectedModel>;
  /** Lays a graph out for the viewer; with a second one, the difference from `before` to `after`. */
  openGraph(after: GraphSource, before: GraphSource | null): Promise<GraphPicture>;
  /** Attributes, ports and weights of a node of a picture, by its position in the picture's list. */
  graphNode(pictureId: string, node: number): Promise<NodeDetails>;
  /** A single HTML page that runs the model from file:// by the reference interpreter. */
  exportPage(model: ChunkRef, version: ModelVersion): Promise<ArrayBuffer>;
  /** A prediction CSV in the order of the file given; formula cells neutralised. */
  predictTable(
    callId: string,
    model: ChunkRef,
    recipe: FittedRecipe,
    table: PredictionTable,
    onProgress: OnProgress,
  ): Promise<ArrayBuffer>;
  cancel(callId: string): void;
}

export interface PredictionBatch {
  readonly rows: number;
  /** Classification: row-major [rows, classes]; regression: [rows]. */
  readonly values: Float32Array;
  readonly milliseconds: number;
}

export interface EvaluateRequest {
  readonly model: ChunkRef;
  readonly task: TaskType;
  readonly classes: readonly string[];
  readonly part: RawPart;
  readonly measureLatency: boolean;
  readonly seed: number;
}

export interface EvaluateResult {
  readonly report: Evaluation['report'];
  readonly latency: Evaluation['latency'];
  readonly predictions: readonly PredictionRow[];
}

export interface InspectedModel {
  readonly graphHash: string;
  readonly weights: number;
  readonly bytes: number;
  readonly signature: ModelVersion['signature'];
  readonly recipe: FittedRecipe | null;
  readonly operators: readonly { readonly op: string; readonly count: number }[];
  readonly problems: readonly string[];
}

export type { ExecutorChoice };
