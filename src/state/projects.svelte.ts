/** The list on Home: projects with the latest curve of each, and those in the Trash. */
import type { Project, Run } from '../protocol/entities';
import type { Studio } from './studio';
import type { Toasts } from './toasts.svelte';

const BURST_MS = 120;

export interface ProjectCard {
  readonly project: Project;
  /** Latest run that has a curve, for the thumbnail. */
  readonly run: Run | null;
}

export class Projects {
  readonly #studio: () => Promise<Studio>;
  readonly #toasts: Toasts;
  #cards = $state.raw<readonly ProjectCard[] | null>(null);
  #trashed = $state.raw<readonly Project[]>([]);
  #error = $state.raw<unknown>(null);

  constructor(studio: () => Promise<Studio>, toasts: Toasts) {
    this.#studio = studio;
    this.#toasts = toasts;
  }

  /** Null until loaded. */
  get cards(): readonly ProjectCard[] | null {
    return this.#cards;
  }

  get trashed(): readonly Project[] {
    return this.#trashed;
  }

  get error(): unknown {
    return this.#error;
  }

  async load(): Promise<void> {
    try {
      const { store } = await this.#studio();
      const [live, trashed] = await Promise.all([
        store.listProjects(),
        store.listProjects({ trashed: true }),
      ]);
      const newest = [...live].sort((a, b) => b.updatedAt - a.updatedAt);
      this.#cards = await Promise.all(
        newest.map(async (project) => ({ project, run: latest(await store.listRuns(project.id)) })),
      );
      this.#trashed = trashed;
      this.#error = null;
    } catch (error) {
      this.#error = error;
    }
  }

  /** Loads what is listed, now and whenever a tab changed it, until what it returns is called. */
  watch(load: () => Promise<unknown> = () => this.load()): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let end: (() => void) | null = null;
    let ended = false;
    void load();
    this.#studio().then(
      ({ tabs }) => {
        if (ended) return;
        end = tabs.follow(() => {
          // What a tab writes comes in bursts.
          timer ??= setTimeout(() => {
            timer = undefined;
            void load();
          }, BURST_MS);
        });
      },
      (error: unknown) => (this.#error = error),
    );
    return () => {
      ended = true;
      clearTimeout(timer);
      end?.();
    };
  }

  rename(project: Project, name: string): Promise<void> {
    return this.#change(async ({ store }) => {
      await store.editProject(project.id, project.revision, { name });
    });
  }

  duplicate(project: Project): Promise<void> {
    return this.#change(async ({ store }) => {
      await store.duplicateProject(project.id);
    });
  }

  /** What goes with a project, for the question before it goes. */
  async describe(project: Project): Promise<{ runs: number; models: number; bytes: number }> {
    return (await this.#studio()).store.describeDeletion(project.id);
  }

  /** `said` is the message with the Undo; `undo` its label. */
  trash(project: Project, said: string, undo: string): Promise<void> {
    return this.#change(async ({ store }) => {
      await store.trashProject(project.id);
      this.#toasts.say(said, { label: undo, run: () => void this.restore(project) });
    });
  }

  restore(project: Project): Promise<void> {
    return this.#change(async ({ store }) => {
      await store.restoreProject(project.id);
    });
  }

  /** Returns the bytes freed, or null when it failed (and was said). */
  async erase(project: Project): Promise<number | null> {
    let freed: number | null = null;
    await this.#change(async ({ store }) => {
      freed = (await store.eraseProject(project.id)).bytes;
    });
    return freed;
  }

  /** Opens a `.terrarium` file as a new project. */
  async importFile(file: Blob): Promise<Project> {
    const { store } = await this.#studio();
    return store.importProject(file);
  }

  async #change(work: (studio: Studio) => Promise<void>): Promise<void> {
    try {
      await work(await this.#studio());
      await this.load();
    } catch (error) {
      this.#toasts.fail(error);
    }
  }
}

function latest(runs: readonly Run[]): Run | null {
  const drawn = runs.filter((run) => run.role === 'model' && run.curve.length > 1);
  return drawn.reduce<Run | null>(
    (newest, run) => (newest === null || run.createdAt > newest.createdAt ? run : newest),
    null,
  );
}
