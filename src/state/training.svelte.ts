/**
 * The Train button as one course: baselines first where the question has none yet, then the model. It belongs to the
 * open project, not to the screen, so that it goes on while the person looks elsewhere.
 */
import { AppError } from '../core/errors';
import type { Progress, ProbeReport } from '../protocol/api';
import type { DatasetVersion, Id, Project, RunConfig } from '../protocol/entities';
import { secondsHere, shapeOf } from './model-shape';
import type { Runs } from './runs.svelte';
import type { Studio } from './studio';

/** A starter's first run is cut after so many seconds. */
const STARTER_SECONDS = 20;
/** Epochs are planned for this share of them: a run that is cut never sees the end of its learning rate's schedule. */
const PLANNED_SHARE = 0.8;
/** Checking a row is a forward pass alone, about a third of a training step's work on it. */
const CHECKING_WORK = 1 / 3;
/** Share of the measured speed of a large matrix product that small layers reach. */
const REACHED = 0.4;

export class Training {
  readonly #studio: Studio;
  readonly #runs: Runs;
  readonly #project: () => Project;
  #step = $state<'idle' | 'measuring' | 'baselines' | 'model'>('idle');
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);

  constructor(studio: Studio, runs: Runs, project: () => Project) {
    this.#studio = studio;
    this.#runs = runs;
    this.#project = project;
  }

  get step(): 'idle' | 'measuring' | 'baselines' | 'model' {
    return this.#step;
  }

  get busy(): boolean {
    return this.#step !== 'idle';
  }

  /** What is under way before a run of its own says more. */
  get progress(): Progress | null {
    return this.#progress;
  }

  /** What ended the last course. */
  get error(): unknown {
    return this.#error;
  }

  dismissError(): void {
    this.#error = null;
  }

  /** Trains; with `fit` in about 20 seconds by this computer's measured speed. */
  start(name: string, options: { readonly fit?: boolean } = {}): Promise<void> {
    return this.#course(async () => {
      const project = this.#project();
      if (!this.#hasBaselines(project)) {
        this.#step = 'baselines';
        await this.#runs.trainBaselines(project);
      }
      const fitted = options.fit ? await this.#fit(project) : project;
      this.#step = 'model';
      await this.#runs.start(fitted, name);
    });
  }

  resume(id: Id): Promise<void> {
    return this.#course(async () => {
      this.#step = 'model';
      await this.#runs.resume(id);
    });
  }

  /** The question is the same and its baselines are there. */
  #hasBaselines(project: Project): boolean {
    const config = this.#studio.runConfig(project);
    const done = this.#runs.baselines.filter(
      (run) => run.status === 'done' && sameQuestion(run.config, config),
    );
    return done.length >= 2;
  }

  async #course(work: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.#error = null;
    this.#step = 'measuring';
    try {
      await work();
    } catch (error) {
      // That the project moved to another tab is said once, and not here.
      const moved = error instanceof AppError && /\/moved$/.test(error.code);
      this.#error = moved ? null : error;
    } finally {
      this.#step = 'idle';
      this.#progress = null;
    }
  }

  async #fit(project: Project): Promise<Project> {
    const { training } = project;
    // A body's answers are computed once, which no limit should cut short.
    if (!training || project.blueprint?.kind === 'pretrained') return project;
    const dataset = await this.#studio.dataset(project);
    this.#step = 'measuring';
    const report = await this.#studio.probe((progress) => (this.#progress = progress));
    this.#progress = null;
    const seconds = STARTER_SECONDS * PLANNED_SHARE;
    const epochs = epochsWithin(seconds, project, dataset, report);
    return { ...project, training: { ...training, epochs, maxSeconds: STARTER_SECONDS } };
  }
}

/** Two configurations whose figures may stand in one table: the same rows, target and parts. */
export function sameQuestion(a: RunConfig, b: RunConfig): boolean {
  const question = ({ datasetId, target, task, split }: RunConfig): string =>
    JSON.stringify([datasetId, target, task, split]);
  return question(a) === question(b);
}

/** As many of the epochs as fit the time by the speed measured; at least one. Tables always fit. */
export function epochsWithin(
  seconds: number,
  project: Project,
  dataset: DatasetVersion,
  report: ProbeReport,
): number {
  const { blueprint, training, split, executor } = project;
  const { manifest } = dataset;
  const epochs = training?.epochs ?? 1;
  // What a pretrained body costs is not known before it is read; starters begin with a blueprint of ours.
  if (!blueprint || blueprint.kind === 'pretrained' || manifest.type !== 'images') return epochs;
  const dims = [manifest.channels, manifest.height, manifest.width];
  const shape = shapeOf(blueprint, dims, manifest.classes.length);
  const name = executor === 'auto' ? report.chosen : executor;
  const speed = name === 'webgpu' ? report.webgpu : name === 'wasm' ? report.wasm : null;
  if (!training || !speed || speed.gflops <= 0) return epochs;
  const rows = manifest.rows * (split.train + split.validation * CHECKING_WORK);
  const perEpoch = secondsHere(shape, { ...training, epochs: 1 }, rows, speed) / REACHED;
  return Math.max(1, Math.min(epochs, Math.floor(seconds / perEpoch)));
}
