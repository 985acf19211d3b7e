/**
 * The studio's use cases, typed and without a screen: what a button does and what a job does is the same call
 * here. Simple reads and edits go straight to `studio.workers.store`; a method stands here where several workers
 * have to act together. What trains and judges is loaded when it is first asked for, not with the first screen.
 */
import { AppError } from '../core/errors';
import { wholeFile } from '../core/whole-file';
import { MODEL_LIMITS } from '../protocol/model-files';
import type {
  DataApi,
  ImportResult,
  InferApi,
  InspectedModel,
  MemoryEstimate,
  OnProgress,
  ProbeReport,
  RawPart,
  StoreApi,
  StoreStatus,
  TrainEvent,
} from '../protocol/api';
import type {
  DatasetVersion,
  Gate,
  Id,
  ModelVersion,
  Project,
  RunConfig,
  SplitPart,
  TaskType,
} from '../protocol/entities';
import type { GraphPicture, GraphSource, NodeDetails } from '../protocol/graph-view';
import type { Architecture, PretrainedFile, PretrainedModel } from '../protocol/pretrained';
import { moved } from './bridge';
import type { Async } from './bridge';
import {
  BLUEPRINTS,
  DEFAULT_SEED,
  defaultBlueprint,
  defaultRecipe,
  defaultSplit,
  defaultTraining,
} from './defaults';
import { Device } from './device';
import { forecastMemory } from './forecast';
import type { Evaluated } from './judging';
import type { ProfileHandle } from './profile';
import { runConfig } from './run-config';
import type { FinishedRun, RunHandle, RunListener } from './runs';
import { Tabs } from './tabs';
import type { TabsOptions } from './tabs';
import { leaveTurn } from './turn';
import { Workers } from './workers';
import type { WorkerSet } from './workers';

export interface NewProject {
  readonly name: string;
  readonly datasetId: Id;
  /** Suggested by the data where absent. */
  readonly target?: string;
  readonly task?: TaskType;
  readonly starter?: Project['starter'];
  readonly gates?: readonly Gate[];
  readonly seed?: number;
  readonly temporary?: boolean;
  /** An open and empty lock that it is made for; the data was imported into it. */
  readonly into?: Id;
}

export interface AnsweredTable {
  /** The person's table with prediction and confidence columns. */
  readonly csv: ArrayBuffer;
  readonly rows: number;
  /** What was odd about the table, in words. */
  readonly findings: readonly string[];
}

export class Studio {
  readonly workers: WorkerSet;
  readonly device: Device;
  readonly #openTabs: () => Tabs;
  #tabs: Tabs | null = null;
  /** The graph opened last: the name that its reader knows, and the one that the worker knows now. */
  #shown: {
    readonly id: string;
    readonly now: string;
    readonly after: GraphSource;
    readonly before: GraphSource | null;
  } | null = null;

  constructor(workers: WorkerSet = new Workers(), tabs?: TabsOptions) {
    this.workers = workers;
    this.device = new Device(workers);
    this.#openTabs = () => new Tabs(workers.store, tabs);
  }

  /** This page among the studio's other tabs. */
  get tabs(): Tabs {
    this.#tabs ??= this.#openTabs();
    return this.#tabs;
  }

  get store(): Async<StoreApi> {
    return this.workers.store;
  }

  get data(): Async<DataApi> {
    return this.workers.data;
  }

  get infer(): Async<InferApi> {
    return this.workers.infer;
  }

  /** Opens the store; what a crash left behind is in the answer. */
  storeStatus(): Promise<StoreStatus> {
    return this.workers.storeStatus();
  }

  probe(onProgress: OnProgress, again = false): Promise<ProbeReport> {
    return this.device.report(onProgress, again);
  }

  importTable(
    callId: string,
    file: Blob,
    source: Parameters<DataApi['importTable']>[2],
    onProgress: OnProgress,
  ): Promise<ImportResult> {
    return this.workers.data.importTable(callId, file, source, onProgress);
  }

  importEmbedded(
    callId: string,
    name: Parameters<DataApi['importEmbedded']>[1],
    onProgress: OnProgress,
    into?: Id,
  ): Promise<ImportResult> {
    return this.workers.data.importEmbedded(callId, name, onProgress, into);
  }

  /** A project on a dataset, with target, architecture and training chosen by the data where they are not given. */
  async createProject(wanted: NewProject): Promise<Project> {
    const { data, store } = this.workers;
    const dataset = await store.getDataset(wanted.datasetId);
    const { target, task } = await this.#goal(wanted, data);
    const seed = wanted.seed ?? DEFAULT_SEED;
    const draft = {
      name: wanted.name,
      temporary: wanted.temporary ?? false,
      starter: wanted.starter ?? null,
      datasetId: dataset.id,
      target,
      task,
      gates: wanted.gates ?? [],
      recipe: defaultRecipe(),
      split: defaultSplit(seed, dataset),
      blueprint: defaultBlueprint(dataset),
      training: defaultTraining(dataset, task),
      seed,
      executor: 'auto' as const,
    };
    return store.createProject(draft, wanted.into);
  }

  async #goal(
    wanted: NewProject,
    data: WorkerSet['data'],
  ): Promise<{ target: string; task: TaskType }> {
    const { target, task, datasetId } = wanted;
    if (target !== undefined && task !== undefined) return { target, task };
    const suggestion = await data.suggestTarget(datasetId);
    if (target === undefined) return { target: suggestion.column, task: task ?? suggestion.task };
    if (suggestion.column === target) return { target, task: suggestion.task };
    return { target, task: await this.#taskOf(datasetId, target) };
  }

  /** Numbers with many values are regressed; everything else is classified. */
  async #taskOf(datasetId: Id, target: string): Promise<TaskType> {
    const { manifest } = await this.workers.store.getDataset(datasetId);
    if (manifest.type === 'images') return 'classification';
    const column = manifest.columns.find(({ name }) => name === target);
    if (column === undefined) {
      const names = manifest.columns.map(({ name }) => `"${name}"`).join(', ');
      throw new AppError(
        'project/target',
        `There is no column "${target}" in ${manifest.name}. It has ${names}.`,
        { target },
      );
    }
    return column.storage === 'float64' && column.distinct > 10 ? 'regression' : 'classification';
  }

  /** The configuration of a project's next run. */
  runConfig(project: Project): RunConfig {
    return runConfig(project);
  }

  /** What the project's next run would take of memory; null before this computer was measured. */
  forecastMemory(project: Project): Promise<MemoryEstimate | null> {
    return forecastMemory(this.workers, this.device, this.runConfig(project));
  }

  /** Trains the project's model as it is configured now. */
  async startRun(project: Project, name: string, listener: RunListener): Promise<RunHandle> {
    const request = {
      projectId: project.id,
      config: this.runConfig(project),
      name,
      role: 'model',
    } as const;
    const { startRun } = await import('./runs');
    return startRun(this.workers, this.device, request, listener);
  }

  async resumeRun(runId: Id, listener: RunListener): Promise<RunHandle> {
    const { resumeRun } = await import('./runs');
    return resumeRun(this.workers, this.device, runId, listener);
  }

  /** Ends what trains for the project because it moves to another tab, `saving` a checkpoint first. */
  leaveRun(projectId: Id, saving: boolean): Promise<void> {
    return leaveTurn(this.workers, projectId, saving);
  }

  /** Times the kernels of so many steps of the project's training, without a run. */
  async profile(
    project: Project,
    name: string,
    steps: number,
    listener: (event: TrainEvent) => void,
  ): Promise<ProfileHandle> {
    const config = this.runConfig(project);
    const request = { projectId: project.id, name, config, steps };
    const { startProfile } = await import('./profile');
    return startProfile(this.workers, this.device, request, listener);
  }

  /** Trains the commonest-class (or mean) and the linear baseline, one after the other. */
  async trainBaselines(project: Project, listener: RunListener): Promise<readonly FinishedRun[]> {
    // The linear one looks at the rows as they are, not as a pretrained body wants them.
    const config = this.runConfig({ ...project, blueprint: BLUEPRINTS.linear });
    const dataset = await this.workers.store.getDataset(config.datasetId);
    const { startBaselines } = await import('./baselines');
    return startBaselines(this.workers, this.device, project.id, config, dataset, listener);
  }

  /**
   * Judges a model on a part and records it. `test` opens the sealed part and counts the opening, unless `part`
   * rows from an opening just counted are handed in.
   */
  async evaluate(
    callId: string,
    modelId: Id,
    part: SplitPart,
    onProgress: OnProgress,
    opened?: RawPart,
  ): Promise<Evaluated> {
    const { evaluate } = await import('./judging');
    return evaluate(this.workers, callId, modelId, part, onProgress, opened);
  }

  /** Judges a model on every row of a dataset that it has not been trained on and records it. */
  async evaluateOn(
    callId: string,
    modelId: Id,
    datasetId: Id,
    onProgress: OnProgress,
  ): Promise<Evaluated> {
    const { evaluateOn } = await import('./judging');
    return evaluateOn(this.workers, callId, modelId, datasetId, onProgress);
  }

  /** Raw inputs and truths of a part; opening `test` is counted first. */
  async openPart(project: Project, model: ModelVersion, part: SplitPart): Promise<RawPart> {
    const { openPart } = await import('./judging');
    return openPart(this.workers, project, model, part);
  }

  /** A quantised copy of a model, kept as a ModelVersion with its parent. */
  async compress(
    callId: string,
    modelId: Id,
    mode: 'int8-dynamic' | 'int8-static',
    onProgress: OnProgress,
  ): Promise<{ readonly model: ModelVersion; readonly notes: readonly string[] }> {
    const { compress } = await import('./compression');
    return compress(this.workers, callId, modelId, mode, onProgress);
  }

  /** A person's `.onnx`, read to its end where it can harm nothing; throws what is wrong with it. */
  async checkedModel(file: Blob): Promise<ArrayBuffer> {
    await this.workers.data.checkModel(crypto.randomUUID(), file);
    return wholeFile(file, MODEL_LIMITS.bytes, 'The model');
  }

  /** What a person's `.onnx` is, from the graph and from the runtime. */
  async inspectModel(file: Blob): Promise<InspectedModel> {
    return this.workers.infer.inspectModel(await this.checkedModel(file));
  }

  /** Reads a person's `.onnx`; a file with problems is refused with all of them. */
  async importModel(
    projectId: Id,
    name: string,
    file: ArrayBuffer,
  ): Promise<{ readonly model: ModelVersion; readonly inspected: InspectedModel }> {
    const { infer, store } = this.workers;
    const project = await store.getProject(projectId);
    const inspected = await infer.inspectModel(file);
    if (inspected.problems.length > 0) {
      throw new AppError(
        'model/refused',
        `${name} cannot be used: ${inspected.problems.join(' ')}`,
        { problems: inspected.problems },
      );
    }
    const { graphHash, signature, recipe, weights } = inspected;
    const model = await store.putModel(
      {
        projectId,
        name,
        stage: 'draft',
        kind: 'imported',
        runId: null,
        parentId: null,
        datasetId: project.datasetId,
        graphHash,
        signature,
        recipe,
        weights,
      },
      moved(file),
    );
    return { model, inspected };
  }

  /** What a person picked to start from, kept under its hash. Weights alone go into what `project` is set up for. */
  async importPretrained(
    files: readonly PretrainedFile[],
    onProgress: OnProgress,
    project: Project | null = null,
  ): Promise<PretrainedModel> {
    const { data, store } = this.workers;
    const weightsAlone = files.some(({ path }) => /\.safetensors$/i.test(path));
    const architecture = weightsAlone && project ? await this.#architecture(project) : null;
    const callId = crypto.randomUUID();
    const read = await data.readPretrained(callId, files, architecture, onProgress);
    const { name, summary, file } = read;
    return store.putPretrained({ name, summary }, file);
  }

  /** null where the project has no blueprint of the studio's own. */
  async #architecture(project: Project): Promise<Architecture | null> {
    const config = this.runConfig(project);
    const { blueprint } = config;
    if (blueprint.kind === 'pretrained') return null;
    const { recipe } = await this.workers.data.prepare(config);
    const { featureDims, target } = recipe;
    const outputs = target.task === 'regression' ? 1 : target.classes.length;
    return { blueprint, featureDims, outputs };
  }

  /** A LoRA run's adapter put back into its body, kept as a model of this project. */
  async applyAdapter(projectId: Id, adapter: ArrayBuffer): Promise<ModelVersion> {
    const { train, store } = this.workers;
    const { datasetId } = await store.getProject(projectId);
    const { model, ...made } = await train.applyAdapter(adapter);
    return store.putModel(
      {
        ...made,
        projectId,
        stage: 'draft',
        kind: 'imported',
        runId: null,
        parentId: null,
        datasetId,
      },
      moved(model),
    );
  }

  /** The small file of a LoRA run; null where the model has none. */
  async downloadAdapter(modelId: Id): Promise<ArrayBuffer | null> {
    const { adapter } = await this.workers.store.getModel(modelId);
    return adapter ? this.workers.store.getChunk(adapter) : null;
  }

  /** The bytes of a model's `.onnx` file. */
  async downloadModel(modelId: Id): Promise<ArrayBuffer> {
    const { file } = await this.workers.store.getModel(modelId);
    return this.workers.store.getChunk(file);
  }

  /** A graph, or the difference of two, laid out to be drawn. */
  async openGraph(after: GraphSource, before: GraphSource | null): Promise<GraphPicture> {
    const picture = await this.workers.infer.openGraph(after, before);
    this.#shown = { id: picture.id, now: picture.id, after, before };
    return picture;
  }

  /** A picture whose worker was ended meanwhile is laid out again: nodes keep their numbers. */
  async graphNode(pictureId: string, node: number): Promise<NodeDetails> {
    const { infer } = this.workers;
    const shown = this.#shown?.id === pictureId ? this.#shown : null;
    try {
      return await infer.graphNode(shown?.now ?? pictureId, node);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'viewer/closed' || !shown) throw error;
      const { id } = await infer.openGraph(shown.after, shown.before);
      this.#shown = { ...shown, now: id };
      return infer.graphNode(id, node);
    }
  }

  /** One HTML page that runs the model anywhere. */
  async exportPage(modelId: Id): Promise<ArrayBuffer> {
    const model = await this.workers.store.getModel(modelId);
    return this.workers.infer.exportPage(model.file, model);
  }

  /** Predicts every row of a CSV and returns it with prediction and confidence columns. */
  async predictTable(
    callId: string,
    modelId: Id,
    file: Blob,
    onProgress: OnProgress,
  ): Promise<AnsweredTable> {
    const { data, infer, store } = this.workers;
    const { recipe, name, file: bytes } = await store.getModel(modelId);
    if (recipe === null) {
      throw new AppError(
        'model/no-recipe',
        `"${name}" does not say which columns it needs, so it cannot read a table.`,
        { modelId },
      );
    }
    const table = await data.readForPrediction(callId, file, recipe, onProgress);
    const csv = await infer.predictTable(callId, bytes, recipe, table, onProgress);
    return { csv, rows: table.rows.length, findings: table.findings };
  }

  /** Closes a locked project: its key goes, and with it whatever workers keep in memory to be quick. */
  async lockVault(projectId: Id): Promise<void> {
    await this.workers.store.closeVault(projectId);
    this.workers.forgetData();
  }

  /** Cancels a long call wherever it runs. */
  cancel(callId: string): Promise<void> {
    return this.workers.cancel(callId);
  }

  async dataset(project: Project): Promise<DatasetVersion> {
    return this.workers.store.getDataset(this.runConfig(project).datasetId);
  }
}

let opened: Studio | null = null;

/** The page's one Studio. */
export function openStudio(): Studio {
  opened ??= new Studio();
  return opened;
}
