/**
 * A job from beginning to end through the same services as the screens: import, baselines, training, compression,
 * one opening of the sealed test part, and a report. `npm run job` and `npm run demo` drive it in Chromium.
 */
import { writeCsv } from '../core/csv-write';
import { judgeGate } from '../evaluation/gates';
import { AppError } from '../core/errors';
import type { OnProgress, PictureOptions, PictureSource, RawPart } from '../protocol/api';
import type {
  DatasetVersion,
  Evaluation,
  Gate,
  GateOutcome,
  ModelVersion,
  PairedComparison,
  PredictionRow,
  Project,
  Run,
  RunConfig,
} from '../protocol/entities';
import type { PretrainedBlueprint } from '../protocol/fine-tune';
import { parseJob } from '../protocol/job';
import type { Job } from '../protocol/job';
import { encodeError } from '../protocol/errors';
import type { WireError } from '../protocol/errors';
import type { Trace } from '../profiling/trace';
import { DEFAULT_SEED } from './defaults';
import { projectSettings } from './job-settings';
import { JobTrace } from './job-trace';
import { pretrainedBlueprint } from './pretrained';
import type { FinishedRun, RunEvent } from './runs';
import { openStudio } from './studio';
import type { Studio } from './studio';
import type { Evaluated } from './judging';

/** What report.json holds of one model. */
export interface ModelReport {
  readonly name: string;
  readonly kind: ModelVersion['kind'];
  readonly modelVersionId: string;
  readonly graphHash: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly weights: number;
  readonly test: Evaluation['report'];
  readonly latency: Evaluation['latency'];
  readonly gates: readonly (Gate & { readonly outcome: GateOutcome })[];
}

export interface JobReport {
  readonly format: 1;
  readonly name: string;
  readonly job: Job;
  readonly dataset: { readonly id: string; readonly name: string; readonly rows: number };
  readonly understood: readonly string[];
  readonly warnings: readonly string[];
  readonly parts: Readonly<Record<string, number>>;
  readonly config: RunConfig;
  readonly device: Run['device'];
  readonly codeVersion: string;
  /** Numbers that learned. */
  readonly trainable: number | null;
  /** What it was really computed in. */
  readonly precision: NonNullable<Run['precision']>;
  /** Where gradients were accumulated; batch norms saw no more than these rows. */
  readonly microBatch: NonNullable<Run['microBatch']> | null;
  /** Steps that changed nothing because their gradient overflowed. */
  readonly skipped: NonNullable<Run['skipped']> | null;
  readonly seconds: number;
  readonly examplesPerSecond: number;
  readonly stepsDone: number;
  readonly best: Run['best'];
  readonly curve: Run['curve'];
  readonly model: ModelReport;
  readonly compressed: (ModelReport & { readonly notes: readonly string[] }) | null;
  /** Loss of accuracy (or rise of RMSE) from the float model to its int8 copy, on the same rows. */
  readonly compressionLoss: PairedComparison | null;
  readonly baselines: readonly ModelReport[];
  /** How often the sealed test part has been opened: once. */
  readonly testOpened: number;
  readonly lineage: Readonly<Record<'dataset' | 'run' | 'model' | 'compressed', string | null>>;
}

export interface JobResult {
  readonly report: JobReport;
  readonly model: ArrayBuffer;
  readonly compressed: ArrayBuffer | null;
  /** What a LoRA run learned, by itself. */
  readonly adapter: ArrayBuffer | null;
  /** Sealed-test predictions as CSV. */
  readonly predictions: string;
  /** Some steps of the run kernel by kernel; null where that was not asked for, or cannot be. */
  readonly trace: Trace | null;
}

export interface JobOptions {
  /** Whether to profile some of the run's steps. */
  readonly profile?: boolean;
}

/** What a job names beside itself. */
export interface JobFiles {
  readonly data: readonly File[];
  /** The pretrained model to start from. */
  readonly body: readonly File[];
}

const CALL = 'job';

export async function runJob(
  studio: Studio,
  job: Job,
  files: JobFiles,
  onProgress: OnProgress,
  options: JobOptions = {},
): Promise<JobResult> {
  const seed = job.seed ?? DEFAULT_SEED;
  const imported = await importData(studio, job, files.data, onProgress);
  const { dataset, findings, understood } = imported;
  const name = job.name ?? dataset.manifest.name;
  const body = await importBody(studio, job, dataset, files.body, onProgress);
  const project = await createProject(studio, job, name, dataset.id, seed, body);
  const config = studio.runConfig(project);
  const inspection = await studio.data.inspect(config);
  onProgress({ label: `Predicting "${config.target}" (${config.task})` });
  const warnings = [...findings, ...inspection.findings].map(({ column, message }) =>
    column === undefined ? message : `"${column}": ${message}`,
  );
  for (const warning of new Set(warnings)) onProgress({ label: `Note: ${warning}` });

  const baselines = await studio.trainBaselines(project, announce('baseline', onProgress));
  const listener = announce('model', onProgress);
  const traced = options.profile ? new JobTrace(name, onProgress) : null;
  const handle = await studio.startRun(project, name, (event) => {
    listener(event);
    traced?.hear(event);
  });
  traced?.follow(handle);
  const { run, model } = await handle.finished;

  const mode = job.compression ?? 'int8-static';
  const small = mode === 'none' ? null : await studio.compress(CALL, model.id, mode, onProgress);

  onProgress({ label: 'Opening the sealed test part' });
  const opened = await studio.openPart(project, model, 'test');
  const judge = (version: ModelVersion): Promise<Evaluated> =>
    studio.evaluate(CALL, version.id, 'test', onProgress, opened);
  const judged = await judge(model);
  const judgedSmall = small === null ? null : await judge(small.model);
  const judgedBaselines: ModelReport[] = [];
  for (const baseline of baselines) {
    judgedBaselines.push(modelReport(baseline.model, await judge(baseline.model), []));
  }
  const { gates, testOpened } = await studio.store.getProject(project.id);
  const report: JobReport = {
    format: 1,
    name,
    job,
    dataset: { id: dataset.id, name: dataset.manifest.name, rows: dataset.manifest.rows },
    understood,
    warnings: [...new Set(warnings)],
    parts: inspection.parts,
    config,
    ...runFigures(run),
    model: modelReport(model, judged, gates),
    compressed:
      small && judgedSmall
        ? { ...modelReport(small.model, judgedSmall, gates), notes: small.notes }
        : null,
    compressionLoss: judgedSmall
      ? await studio.infer.compare(judged.predictions, judgedSmall.predictions, config.task)
      : null,
    baselines: judgedBaselines,
    testOpened,
    lineage: {
      dataset: dataset.id,
      run: run.id,
      model: model.id,
      compressed: small?.model.id ?? null,
    },
  };
  return {
    report,
    model: await studio.downloadModel(model.id),
    compressed: small && (await studio.downloadModel(small.model.id)),
    adapter: await studio.downloadAdapter(model.id),
    predictions: predictionsCsv(judged, judgedSmall?.predictions ?? null, opened),
    trace: traced?.trace ?? null,
  };
}

function importData(
  studio: Studio,
  { data, name }: Job,
  files: readonly File[],
  onProgress: OnProgress,
): ReturnType<Studio['importTable']> {
  if (data.embedded !== undefined) {
    return studio.importEmbedded(CALL, data.embedded, onProgress);
  }
  const [file] = files;
  if (!file) {
    const named = data.file ?? data.folder ?? data.zip;
    throw new AppError('job/no-file', `The job names "${named}"; give it along.`);
  }
  if (data.file !== undefined) {
    return studio.importTable(CALL, file, { name: file.name, kind: 'file' }, onProgress);
  }
  const source: PictureSource =
    data.zip === undefined
      ? { kind: 'files', files: files.map((each) => ({ path: pathOf(each), file: each })) }
      : { kind: 'zip', file };
  const options: PictureOptions = {
    name: name ?? data.folder ?? file.name,
    size: data.size ?? 'auto',
    fit: 'crop',
    folders: 'auto',
    unlabelled: null,
  };
  return studio.data.importPictures(CALL, source, options, onProgress);
}

/** `folder/class/name.jpg` where the file came with its folder. */
function pathOf(file: File): string {
  return file.webkitRelativePath === '' ? file.name : file.webkitRelativePath;
}

/** The pretrained body that the job starts from, as a project begins with it; null for a blueprint of ours. */
async function importBody(
  studio: Studio,
  { blueprint }: Job,
  dataset: DatasetVersion,
  files: readonly File[],
  onProgress: OnProgress,
): Promise<PretrainedBlueprint | null> {
  if (blueprint?.kind !== 'pretrained') return null;
  const { source } = blueprint;
  if ('embedded' in source) {
    onProgress({ label: 'Loading the pretrained model' });
    const own = { kind: 'embedded', id: source.embedded } as const;
    const summary = await studio.workers.train.describePretrained(own);
    return pretrainedBlueprint(own, summary, dataset.manifest);
  }
  if (files.length === 0) {
    throw new AppError('job/no-file', `The job names the model "${source.file}"; give it along.`);
  }
  const picked = files.map((each) => ({ path: pathOf(each), file: each }));
  const { id, summary } = await studio.importPretrained(picked, onProgress);
  return pretrainedBlueprint({ kind: 'own', sha256: id }, summary, dataset.manifest);
}

async function createProject(
  studio: Studio,
  job: Job,
  name: string,
  datasetId: string,
  seed: number,
  body: PretrainedBlueprint | null,
): Promise<Project> {
  const { target, task, gates } = job.goal ?? {};
  const project = await studio.createProject({
    name,
    datasetId,
    seed,
    ...(target === undefined ? {} : { target }),
    ...(task === undefined ? {} : { task }),
    ...(gates === undefined ? {} : { gates }),
  });
  return studio.store.editProject(
    project.id,
    project.revision,
    projectSettings(job, project, body),
  );
}

/** Lines that a run's epochs are told in, at most. */
const EPOCH_LINES = 10;

/** Tells a run's phases and the figures of some of its epochs. */
function announce(what: string, onProgress: OnProgress): (event: RunEvent) => void {
  let total = 0;
  let told = 0;
  return (event) => {
    if (event.type === 'phase') onProgress(event.progress);
    if (event.type === 'started') {
      total = event.stepsTotal;
      const learning = `${event.weights.toLocaleString('en')} numbers that learn`;
      onProgress({ label: `Training the ${what} on ${event.label}: ${learning}` });
    }
    if (event.type !== 'points') return;
    const last = event.points.findLast(({ series }) => series === 'validation');
    if (last === undefined || (event.step - told) * EPOCH_LINES < total) return;
    told = event.step;
    const metric = last.metric === undefined ? '' : `, metric ${last.metric.toFixed(4)}`;
    const label = `Epoch ${last.epoch}: validation loss ${last.loss.toFixed(4)}${metric}`;
    onProgress({ label, done: event.step, total, unit: 'steps' });
  };
}

function runFigures(
  run: FinishedRun['run'],
): Pick<
  JobReport,
  | 'device'
  | 'codeVersion'
  | 'trainable'
  | 'precision'
  | 'microBatch'
  | 'skipped'
  | 'seconds'
  | 'examplesPerSecond'
  | 'stepsDone'
  | 'best'
  | 'curve'
> {
  const { device, codeVersion, seconds, examplesPerSecond, stepsDone, best, curve } = run;
  return {
    device,
    codeVersion,
    trainable: run.trainable ?? null,
    precision: run.precision ?? 'float32',
    microBatch: run.microBatch ?? null,
    skipped: run.skipped ?? null,
    seconds,
    examplesPerSecond,
    stepsDone,
    best,
    curve,
  };
}

function modelReport(
  model: ModelVersion,
  { evaluation }: Evaluated,
  gates: readonly Gate[],
): ModelReport {
  return {
    name: model.name,
    kind: model.kind,
    modelVersionId: model.id,
    graphHash: model.graphHash,
    sha256: model.file.sha256,
    bytes: model.file.bytes,
    weights: model.weights,
    test: evaluation.report,
    latency: evaluation.latency,
    gates: gates.map((gate) => ({ ...gate, outcome: judgeGate(gate, evaluation) })),
  };
}

function predictionsCsv(
  { evaluation, predictions }: Evaluated,
  small: readonly PredictionRow[] | null,
  opened: RawPart,
): string {
  const { report } = evaluation;
  const classes = report.task === 'classification' ? report.classes : [];
  const shown = (value: number): string =>
    report.task === 'classification' ? (classes[value] ?? String(value)) : String(value);
  const header = ['row', 'actual', 'predicted', ...classes.map((name) => `probability ${name}`)];
  if (small !== null) header.push('predicted int8');
  const smallByRow = new Map(small?.map((prediction) => [prediction.row, prediction.predicted]));
  const byRow = new Map(predictions.map((prediction) => [prediction.row, prediction]));
  const rows: string[][] = [];
  for (const row of opened.rows) {
    const prediction = byRow.get(row);
    if (prediction === undefined) continue;
    const { actual, predicted, probabilities } = prediction;
    const cells = [String(row), shown(actual), shown(predicted), ...probabilities.map(String)];
    if (small !== null) cells.push(shown(smallByRow.get(row) ?? NaN));
    rows.push(cells);
  }
  return writeCsv(header, rows, ',');
}

/** What the hook answers: binary files in base64, because the caller sits outside the browser. */
export type HookAnswer =
  | {
      readonly ok: true;
      readonly report: JobReport;
      readonly model: string;
      readonly compressed: string | null;
      readonly adapter: string | null;
      readonly predictions: string;
      readonly trace: Trace | null;
    }
  | { readonly ok: false; readonly error: WireError };

export type JobHook = (
  job: unknown,
  files: JobFiles,
  onProgress: OnProgress,
  options?: JobOptions,
) => Promise<HookAnswer>;

declare global {
  var terrariumJob: JobHook | undefined;
}

/** Makes jobs callable from the tool that drives this page (tools/job.mjs). */
export function installJobHook(): void {
  globalThis.terrariumJob = async (job, files, onProgress, options) => {
    try {
      const result = await runJob(openStudio(), parseJob(job), files, onProgress, options);
      return {
        ok: true,
        report: result.report,
        predictions: result.predictions,
        trace: result.trace,
        model: base64(result.model),
        compressed: result.compressed && base64(result.compressed),
        adapter: result.adapter && base64(result.adapter),
      };
    } catch (error) {
      return { ok: false, error: encodeError(error) };
    }
  };
}

function base64(bytes: ArrayBuffer): string {
  const view = new Uint8Array(bytes);
  let text = '';
  // In pieces: a spread call takes only so many arguments.
  for (let at = 0; at < view.length; at += 8192) {
    text += String.fromCharCode(...view.subarray(at, at + 8192));
  }
  return btoa(text);
}
