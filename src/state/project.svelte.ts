/**
 * The open project and its edits. An edit shows at once and is written behind it, one write at a time, each with the
 * revision it was made on; what can be edited can be undone. The count of sealed-test openings is no edit, so
 * undo never re-seals.
 */
import { AppError } from '../core/errors';
import type { Project, ProjectEdit } from '../protocol/entities';
import { DataView } from './data.svelte';
import { Profile } from './profile.svelte';
import { Records } from './records.svelte';
import type { Stage } from './router.svelte';
import { Runs } from './runs.svelte';
import { Seat } from './seat.svelte';
import { stageStatuses, type StageStatus } from './stages';
import type { Studio } from './studio';
import { Training } from './training.svelte';

type EditKey = keyof ProjectEdit;

interface Step {
  readonly keys: readonly EditKey[];
  readonly before: ProjectEdit;
  readonly after: ProjectEdit;
}

const KEPT_STEPS = 200;

export class OpenProject {
  readonly studio: Studio;
  readonly runs: Runs;
  readonly records: Records;
  readonly training: Training;
  readonly data: DataView;
  readonly profile: Profile;
  /** Whether this tab writes the project, or looks on. */
  readonly seat: Seat;
  #project = $state.raw() as Project;
  #past = $state.raw<readonly Step[]>([]);
  #future = $state.raw<readonly Step[]>([]);
  #saving = $state(0);
  #error = $state.raw<unknown>(null);
  #writes: Promise<void> = Promise.resolve();
  /** Revision that the store holds; the project on screen may be ahead of it by unwritten edits. */
  #revision: number;

  constructor(studio: Studio, project: Project) {
    this.studio = studio;
    this.#project = project;
    this.#revision = project.revision;
    this.seat = new Seat(this);
    this.records = new Records(studio, project.id);
    this.data = new DataView(studio);
    this.runs = new Runs(
      studio,
      project.id,
      () => void this.records.loadModels(),
      (profile, run) => this.profile.keep(profile, run),
      (event, begins) => this.seat.share(event, begins),
    );
    this.training = new Training(studio, this.runs, () => this.#project);
    this.profile = new Profile(studio, this.runs, this.training, () => this.#project);
  }

  /** Everything that hangs on the project, for its screens. */
  async load(): Promise<void> {
    await Promise.all([
      this.records.loadDataset(this.#project.datasetId),
      this.records.loadModels(),
      this.records.loadEvaluations(),
      this.runs.load(),
    ]);
  }

  /** What another tab wrote in these tables; without a list, everything. */
  async reload(tables?: readonly string[]): Promise<void> {
    const touched = (name: string): boolean => tables === undefined || tables.includes(name);
    const { store } = this.studio;
    const project = touched('projects') ? await store.getProject(this.#project.id) : null;
    await Promise.all([
      project && this.records.loadDataset(project.datasetId),
      touched('models') && this.records.loadModels(),
      touched('evaluations') && this.records.loadEvaluations(),
      touched('runs') && this.runs.load(),
    ]);
    if (!project || this.#saving > 0) return;
    // What was undone here was undone on another state.
    if (project.revision !== this.#revision) {
      this.#past = [];
      this.#future = [];
    }
    this.accept(project);
  }

  /** False in a tab that only looks on. */
  get canEdit(): boolean {
    return this.seat.writes;
  }

  get current(): Project {
    return this.#project;
  }

  /** State of every stage, for the rail. */
  get stages(): Readonly<Record<Stage, StageStatus>> {
    return stageStatuses({
      project: this.#project,
      runs: this.runs.list,
      models: this.records.models,
      evaluations: this.records.evaluations,
    });
  }

  get canUndo(): boolean {
    return this.canEdit && this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.canEdit && this.#future.length > 0;
  }

  get saving(): boolean {
    return this.#saving > 0;
  }

  /** The last write that failed; the edits after it were taken back with it. */
  get error(): unknown {
    return this.#error;
  }

  /** Makes an edit. Fields that do not change are dropped; an edit of nothing is no edit. */
  edit(edit: ProjectEdit): void {
    const keys = changedKeys(this.#project, edit);
    if (keys.length === 0) return;
    if (!this.canEdit) {
      this.seat.late(pick(edit, keys));
      return;
    }
    const step: Step = { keys, before: pick(this.#project, keys), after: pick(edit, keys) };
    this.#past = [...this.#past.slice(1 - KEPT_STEPS), step];
    this.#future = [];
    this.#apply(step.after);
  }

  /** Takes the last edit back; returns the fields it touched, or null when there is none. */
  undo(): readonly EditKey[] | null {
    const step = this.#past.at(-1);
    if (!step || !this.canEdit) return null;
    this.#past = this.#past.slice(0, -1);
    this.#future = [...this.#future, step];
    this.#apply(step.before);
    return step.keys;
  }

  redo(): readonly EditKey[] | null {
    const step = this.#future.at(-1);
    if (!step || !this.canEdit) return null;
    this.#future = this.#future.slice(0, -1);
    this.#past = [...this.#past, step];
    this.#apply(step.after);
    return step.keys;
  }

  /** Takes over a record that the store returned from elsewhere: a test opened, a run that kept its settings. */
  accept(project: Project): void {
    if (project.id !== this.#project.id || project.revision < this.#revision) return;
    this.#revision = project.revision;
    this.#project = project;
  }

  /** Resolves when every edit so far is in the store. */
  async settled(): Promise<void> {
    await this.#writes;
  }

  #apply(edit: ProjectEdit): void {
    this.#project = { ...this.#project, ...edit };
    this.#saving += 1;
    this.#writes = this.#writes.then(() => this.#write(edit));
  }

  async #write(edit: ProjectEdit): Promise<void> {
    const id = this.#project.id;
    try {
      const written = await this.studio.store
        .editProject(id, this.#revision, edit)
        .catch(async (error: unknown) => {
          if (!(error instanceof AppError) || error.code !== 'store/conflict') throw error;
          // Another tab wrote in between: the edit is made again on what it left.
          const theirs = await this.studio.store.getProject(id);
          return this.studio.store.editProject(id, theirs.revision, edit);
        });
      this.#revision = written.revision;
      // Edits made meanwhile stay on screen until their own write comes back.
      if (this.#saving === 1) this.#project = written;
      this.#error = null;
    } catch (error) {
      const refused = this.seat.refused(edit, error);
      this.#error = refused ? null : error;
      await this.#fallBack(id);
    } finally {
      this.#saving -= 1;
    }
  }

  /** After a failed write the screen shows what the store really holds. */
  async #fallBack(id: string): Promise<void> {
    try {
      const stored = await this.studio.store.getProject(id);
      this.#revision = stored.revision;
      this.#project = stored;
      this.#past = [];
      this.#future = [];
    } catch (error) {
      this.#error = error;
    }
  }
}

function changedKeys(project: Project, edit: ProjectEdit): EditKey[] {
  const keys = Object.keys(edit) as EditKey[];
  return keys.filter((key) => JSON.stringify(project[key]) !== JSON.stringify(edit[key]));
}

function pick(source: ProjectEdit, keys: readonly EditKey[]): ProjectEdit {
  return Object.fromEntries(keys.map((key) => [key, source[key]]));
}
