/** The runs of the open project: records from the store, and those that are under way in this tab. */
import type { Id, Project, Run } from '../protocol/entities';
import type { RunEvent, RunHandle, RunListener } from '../services/runs';
import { LiveRun } from './live-run.svelte';
import type { OnProfile } from './live-run.svelte';
import type { Studio } from './studio';

export class Runs {
  readonly #studio: Studio;
  readonly #projectId: Id;
  readonly #onFinished: () => void;
  readonly #onProfile: OnProfile;
  readonly #onEvent: (event: RunEvent, begins: boolean) => void;
  #list = $state.raw<readonly Run[]>([]);
  #live = $state.raw<LiveRun | null>(null);
  #selected = $state<Id | null>(null);

  /** `onFinished` is called after each run that left a model, `onEvent` with all that happens to a run of this tab. */
  constructor(
    studio: Studio,
    projectId: Id,
    onFinished: () => void,
    onProfile: OnProfile = () => undefined,
    onEvent: (event: RunEvent, begins: boolean) => void = () => undefined,
  ) {
    this.#studio = studio;
    this.#projectId = projectId;
    this.#onFinished = onFinished;
    this.#onProfile = onProfile;
    this.#onEvent = onEvent;
  }

  /** Baselines first, then the newest first. */
  get list(): readonly Run[] {
    return this.#list;
  }

  get baselines(): readonly Run[] {
    return this.#list.filter((run) => run.role === 'baseline');
  }

  get models(): readonly Run[] {
    return this.#list.filter((run) => run.role === 'model');
  }

  /** The run under way in this tab, and after its end the last one, until another starts. */
  get live(): LiveRun | null {
    return this.#live;
  }

  get selected(): Run | null {
    return this.#list.find((run) => run.id === this.#selected) ?? this.models[0] ?? null;
  }

  select(id: Id): void {
    this.#selected = id;
  }

  async load(): Promise<void> {
    this.#list = sorted(await this.#studio.store.listRuns(this.#projectId));
  }

  /** Trains the project's model as configured; resolves when it has ended, rejects with what stopped it. */
  start(project: Project, name: string): Promise<Run> {
    return this.#follow((listener) => this.#studio.startRun(project, name, listener));
  }

  /** Trains the baselines (commonest class or mean, and linear), which stand first in every table of runs. */
  async trainBaselines(project: Project): Promise<void> {
    const live = new LiveRun((run) => this.#record(run));
    this.#live = live;
    try {
      await this.#studio.trainBaselines(project, this.#listener(live));
      live.settle();
      this.#onFinished();
    } catch (error) {
      live.fail(error);
      throw error;
    }
  }

  /** Shows the run of another tab, from its beginning or on from what was shown. */
  lookOn(begins: boolean, events: readonly RunEvent[]): void {
    const live = begins || !this.#live ? new LiveRun((run) => this.#record(run)) : this.#live;
    this.#live = live;
    for (const event of events) live.receive(event);
  }

  /** The other tab's run is no longer looked at. */
  lookAway(): void {
    this.#live = null;
  }

  /** Goes on with an interrupted run from its last checkpoint. */
  resume(id: Id): Promise<Run> {
    return this.#follow((listener) => this.#studio.resumeRun(id, listener));
  }

  async rename(id: Id, name: string): Promise<void> {
    this.#record(await this.#studio.store.updateRun(id, { name }));
  }

  async #follow(begin: (listener: RunListener) => Promise<RunHandle>): Promise<Run> {
    const live = new LiveRun((run) => this.#record(run), this.#onProfile);
    this.#live = live;
    try {
      const handle = await begin(this.#listener(live));
      live.hold(handle);
      this.#selected = handle.id;
      const { run } = await handle.finished;
      live.settle();
      this.#record(run);
      this.#onFinished();
      return run;
    } catch (error) {
      live.fail(error);
      throw error;
    }
  }

  #listener(live: LiveRun): RunListener {
    let begins = true;
    return (event) => {
      live.receive(event);
      this.#onEvent(event, begins);
      begins = false;
    };
  }

  #record(run: Run): void {
    this.#list = sorted([...this.#list.filter((other) => other.id !== run.id), run]);
  }
}

function sorted(runs: readonly Run[]): readonly Run[] {
  return [...runs].sort((a, b) => {
    if (a.role !== b.role) return a.role === 'baseline' ? -1 : 1;
    return a.role === 'baseline' ? a.number - b.number : b.number - a.number;
  });
}
