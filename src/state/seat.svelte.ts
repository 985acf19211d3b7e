/**
 * Where this tab sits with its open project: it writes, or it looks on while another tab does. An edit that came too
 * late is kept here, to be put in again, kept as a project of its own, or given up: never thrown away unasked.
 */
import { AppError } from '../core/errors';
import type { Project, ProjectEdit } from '../protocol/entities';
import type { RunEvent } from '../services/runs';
import type { Seated } from '../services/tabs';
import type { Runs } from './runs.svelte';
import type { Studio } from './studio';

/** What other tabs write comes in bursts; it is read once for each. */
const BURST_MS = 120;
const TAKEN: readonly string[] = ['store/moved', 'store/elsewhere'];

/** What the seat moves when it changes hands. */
export interface Shared {
  readonly studio: Studio;
  readonly current: Project;
  readonly runs: Runs;
  readonly training: { readonly busy: boolean };
  settled(): Promise<void>;
  reload(tables?: readonly string[]): Promise<void>;
  edit(edit: ProjectEdit): void;
}

export class Seat {
  readonly #project: Shared;
  /** `moved` looks on too, and once wrote. */
  #place = $state<'writing' | 'reading' | 'moved'>('writing');
  #taking = $state<'asking' | 'saving' | null>(null);
  #free = $state(false);
  #unsaved = $state.raw<ProjectEdit | null>(null);
  #error = $state.raw<unknown>(null);
  /** A project that nobody sat down to is asked of no other tab. */
  #seated = false;
  #news: readonly string[] | null = null;
  /** How often the project was taken from this tab. */
  #moves = 0;

  constructor(project: Shared) {
    this.#project = project;
  }

  get place(): 'writing' | 'reading' | 'moved' {
    return this.#place;
  }

  get writes(): boolean {
    return this.#place === 'writing';
  }

  /** What the other tab is doing while this one takes the project over. */
  get taking(): 'asking' | 'saving' | null {
    return this.#taking;
  }

  /** The tab that wrote has let go, and nobody has taken its place. */
  get free(): boolean {
    return this.#free;
  }

  /** Edits that came after the project had moved; none of them is in the store. */
  get unsaved(): ProjectEdit | null {
    return this.#unsaved;
  }

  get error(): unknown {
    return this.#error;
  }

  /** Takes the place at the project that is free: the writer's, or one to look on from. */
  async sit(): Promise<void> {
    this.#seated = true;
    const { studio, current } = this.#project;
    const writes = await studio.tabs.sit(current.id, this.#hearing);
    this.#place = writes ? 'writing' : this.#place === 'moved' ? 'moved' : 'reading';
  }

  /** The page shows the project no more; a run under way keeps it with this tab. */
  async rise(): Promise<void> {
    if (!this.#seated) return;
    await this.#project.settled();
    const { studio, current, training } = this.#project;
    await studio.tabs.rise(current.id, training.busy);
  }

  async takeOver(): Promise<void> {
    if (this.#taking !== null || this.writes) return;
    const { studio, current, runs } = this.#project;
    this.#taking = 'asking';
    this.#error = null;
    try {
      await studio.tabs.takeOver(current.id, () => (this.#taking = 'saving'));
      const moves = this.#moves;
      runs.lookAway();
      await this.#project.reload();
      this.#free = false;
      // It may have been taken back while it was read.
      if (moves === this.#moves) this.#place = 'writing';
    } catch (error) {
      this.#error = error;
    } finally {
      this.#taking = null;
    }
  }

  /** An edit that the store did not take because another tab writes. False where it failed for another reason. */
  refused(edit: ProjectEdit, error: unknown): boolean {
    if (!(error instanceof AppError) || !TAKEN.includes(error.code)) return false;
    this.#unsaved = { ...this.#unsaved, ...edit };
    this.#moved();
    return true;
  }

  /** An edit that was under way when the project moved: a name half typed. Where nothing moved there is none. */
  late(edit: ProjectEdit): void {
    if (this.#place === 'moved') this.#unsaved = { ...this.#unsaved, ...edit };
  }

  /** Makes the edits that came too late once more, on the project as it is now. They can be undone. */
  putIn(): void {
    const unsaved = this.#unsaved;
    if (!unsaved || !this.writes) return;
    this.#unsaved = null;
    this.#project.edit(unsaved);
  }

  /** A project of its own: what the store has, with the edits that came too late. */
  async keepCopy(): Promise<Project | null> {
    const unsaved = this.#unsaved;
    if (!unsaved) return null;
    const { store } = this.#project.studio;
    this.#error = null;
    try {
      const { id, name, revision } = await store.duplicateProject(this.#project.current.id);
      const copy = await store.editProject(id, revision, { name, ...unsaved });
      this.#unsaved = null;
      return copy;
    } catch (error) {
      this.#error = error;
      return null;
    }
  }

  giveUp(): void {
    this.#unsaved = null;
  }

  /** Shows what happens to this tab's run to those that look on. */
  share(event: RunEvent, begins: boolean): void {
    if (!this.#seated) return;
    const { studio, current } = this.#project;
    studio.tabs.share(current.id, event, begins);
  }

  #moved(): void {
    if (this.#place === 'moved') return;
    this.#place = 'moved';
    const { studio, current } = this.#project;
    // It could not save any more; the checkpoint that it has is where the other tab goes on.
    void studio
      .leaveRun(current.id, false)
      .catch((error: unknown) => (this.#error = error))
      .then(() => studio.tabs.watch(current.id));
    this.#hear([]);
  }

  readonly #hearing: Seated = {
    letGo: async () => {
      this.#place = 'moved';
      const { studio, current } = this.#project;
      await this.#project.settled();
      await studio.leaveRun(current.id, true);
    },
    moved: () => {
      this.#moves += 1;
      this.#moved();
    },
    written: (tables) => this.#hear(tables),
    freed: (free) => {
      this.#free = free;
      // Its run, if it had one, ended with it.
      if (free) this.#project.runs.lookAway();
      this.#hear([]);
    },
    run: (begins, events) => {
      if (!this.writes) this.#project.runs.lookOn(begins, events);
    },
    underWay: () => this.#project.runs.live?.replay ?? [],
  };

  /** Reads again what was written elsewhere; everything where it is not said what. */
  #hear(tables: readonly string[]): void {
    const heard = tables.length === 0 ? ['projects', 'models', 'evaluations', 'runs'] : tables;
    const waiting = this.#news !== null;
    this.#news = [...(this.#news ?? []), ...heard];
    if (waiting) return;
    setTimeout(() => {
      const news = this.#news ?? [];
      this.#news = null;
      if (this.writes) return;
      this.#project.reload(news).catch((error: unknown) => (this.#error = error));
    }, BURST_MS);
  }
}
