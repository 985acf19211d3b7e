/**
 * The Profile panel's state: the last profile of the open project, whether another can be taken now and why not, and
 * what of it the graph viewer shows. A profile is kept until the project is closed; a trace file keeps it longer.
 */
import { AppError } from '../core/errors';
import type { TrainEvent } from '../protocol/api';
import type { BlueprintConfig, ExecutorChoice, Id, Project, Run } from '../protocol/entities';
import type { GraphSource } from '../protocol/graph-view';
import type { RunProfile } from '../protocol/profile';
import { costOfNodes } from '../profiling/sums';
import type { ProfileHandle } from '../services/profile';
import type { Runs } from './runs.svelte';
import type { Studio } from './studio';
import type { Training } from './training.svelte';

/** Enough for a median, and over before anyone waits. */
export const PROFILED_STEPS = 10;

export interface KeptProfile extends RunProfile {
  /** null for one without a run. */
  readonly run: { readonly id: Id; readonly name: string } | null;
  readonly blueprint: BlueprintConfig;
}

/** What nodes of the graph are coloured by. */
export type Measure = 'time' | 'bytes';

/** `wait`: the run has not begun its steps; the others are reasons why there is nothing to press. */
export type Readiness = 'ready' | 'wait' | 'no-model' | 'no-clock' | 'pretrained';

export class Profile {
  readonly #studio: Studio;
  readonly #runs: Runs;
  readonly #training: Training;
  readonly #project: () => Project;
  #kept = $state.raw<KeptProfile | null>(null);
  #alone = $state.raw<{ readonly done: number; readonly of: number } | null>(null);
  #handle: ProfileHandle | null = null;
  #phase = $state<string | null>(null);
  #error = $state.raw<unknown>(null);
  /** Devices, as projects name them, that turned out to have no clock for kernels. */
  #clockless = $state.raw<readonly ExecutorChoice[]>([]);
  #wanted: string | null = null;
  measure = $state<Measure | null>(null);

  constructor(studio: Studio, runs: Runs, training: Training, project: () => Project) {
    this.#studio = studio;
    this.#runs = runs;
    this.#training = training;
    this.#project = project;
  }

  get kept(): KeptProfile | null {
    return this.#kept;
  }

  get error(): unknown {
    return this.#error;
  }

  /** Steps that are being timed, while they are. */
  get progress(): { readonly done: number; readonly of: number } | null {
    return this.#alone ?? this.#runs.live?.profiling ?? null;
  }

  /** What happens before the first step of a profile without a run. */
  get phase(): string | null {
    return this.#phase;
  }

  /** Whether `stop` ends it: the steps of a run are the run's own. */
  get stoppable(): boolean {
    return this.#alone !== null;
  }

  get readiness(): Readiness {
    const { blueprint, training, target, executor } = this.#project();
    const live = this.#runs.live;
    if (this.#training.busy) {
      if (this.#training.step !== 'model' || !live?.active) return 'wait';
      if (live.canProfile === null) return 'wait';
      return live.canProfile ? 'ready' : 'no-clock';
    }
    if (!blueprint || !training || target === null) return 'no-model';
    if (this.#clockless.includes(executor)) return 'no-clock';
    return blueprint.kind === 'pretrained' ? 'pretrained' : 'ready';
  }

  keep(profile: RunProfile, { id, name, config }: Run): void {
    this.#kept = { ...profile, run: { id, name }, blueprint: config.blueprint };
  }

  dismissError(): void {
    this.#error = null;
  }

  /** Times the next steps of the run under way, or some first steps without a run. `name` is for whoever must wait. */
  async take(name: string): Promise<void> {
    if (this.progress || this.readiness !== 'ready') return;
    this.#error = null;
    const live = this.#runs.live;
    try {
      if (this.#training.busy && live) await live.profile(PROFILED_STEPS);
      else await this.#takeAlone(name);
    } catch (error) {
      this.#fail(error);
    }
  }

  async stop(): Promise<void> {
    await this.#handle?.stop();
  }

  async #takeAlone(name: string): Promise<void> {
    const project = this.#project();
    const { blueprint } = project;
    if (!blueprint) return;
    this.#alone = { done: 0, of: PROFILED_STEPS };
    try {
      this.#handle = await this.#studio.profile(project, name, PROFILED_STEPS, (event) =>
        this.#hear(event),
      );
      const profile = await this.#handle.finished;
      if (profile) this.#kept = { ...profile, run: null, blueprint };
    } finally {
      this.#alone = null;
      this.#handle = null;
      this.#phase = null;
    }
  }

  #hear(event: TrainEvent): void {
    if (event.type === 'phase') this.#phase = event.progress.label;
    if (event.type !== 'profile') return;
    this.#phase = null;
    this.#alone = { done: event.done, of: event.of };
  }

  #fail(error: unknown): void {
    if (error instanceof AppError && error.code === 'training/no-profile') {
      this.#clockless = [...this.#clockless, this.#project().executor];
    } else this.#error = error;
  }

  /** Whether the profile is of this graph: the run's model, or the settings that were profiled. */
  isOf(source: GraphSource, runId: Id | null): boolean {
    const kept = this.#kept;
    if (!kept) return false;
    if (source.kind === 'model') return runId !== null && runId === kept.run?.id;
    if (source.kind !== 'blueprint') return false;
    return JSON.stringify(source.blueprint) === JSON.stringify(kept.blueprint);
  }

  /** By node of the profiled model. */
  readonly costs = $derived.by(
    () => this.#kept && costOfNodes(this.#kept.step, this.#kept.modelNodes),
  );

  /** Lets the graph viewer, which is opened next, begin with this graph, coloured by time. */
  showOn(choice: string): void {
    this.measure = 'time';
    this.#wanted = choice;
  }

  takeWanted(): string | null {
    const wanted = this.#wanted;
    this.#wanted = null;
    return wanted;
  }
}
