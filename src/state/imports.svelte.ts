/**
 * The ways in: a starter, a person's own table, a project file. Each reads in a worker, shows the step it is at, can be
 * cancelled, and ends with a project on screen.
 */
import { AppError } from '../core/errors';
import type { ImportResult, Progress } from '../protocol/api';
import type { ArchiveSummary, Imported } from '../protocol/backup';
import type { DatasetManifest, Id, Project } from '../protocol/entities';
import { pacedTraining, pretrainedBlueprint } from '../services/pretrained';
import { BACKBONE } from './pretrained.svelte';
import type { Starter } from './router.svelte';
import type { Studio } from './studio';

export class Imports {
  readonly #studio: () => Promise<Studio>;
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);
  #understood = $state.raw<{ readonly datasetId: Id; readonly words: readonly string[] } | null>(
    null,
  );
  #temporary = $state(false);
  #callId: string | null = null;
  #archive = $state.raw<{ readonly file: Blob; readonly summary: ArchiveSummary } | null>(null);
  #opened: Imported | null = null;
  /** An open lock with nothing in it: what is brought next goes there. */
  into = $state<Id | null>(null);

  constructor(studio: () => Promise<Studio>) {
    this.#studio = studio;
  }

  /** A file with many projects that waits for a choice. */
  get archive(): ArchiveSummary | null {
    return this.#archive?.summary ?? null;
  }

  /** The step under way, or null. */
  get progress(): Progress | null {
    return this.#progress;
  }

  /** What went wrong with the last file. */
  get error(): unknown {
    return this.#error;
  }

  /** How a table read since the page opened was taken: delimiter, encoding, decimal comma. */
  understood(datasetId: Id): readonly string[] {
    return this.#understood?.datasetId === datasetId ? this.#understood.words : [];
  }

  /** Whether projects made now belong to a temporary session. */
  get temporary(): boolean {
    return this.#temporary;
  }

  set temporary(on: boolean) {
    this.#temporary = on;
  }

  get #goesInto(): Id | undefined {
    return this.into ?? undefined;
  }

  dismissError(): void {
    this.#error = null;
  }

  refuse(error: unknown): void {
    this.#error = error;
  }

  /** A project on embedded data. `steps` are the words for what is under way. */
  starter(starter: Starter, name: string, steps: ImportSteps): Promise<Project | null> {
    return this.#make(steps, async (studio, callId, say) => {
      const into = this.#goesInto;
      const { dataset } = await studio.importEmbedded(callId, starter, say, into);
      say({ label: steps.preparing });
      const project = await studio.createProject({
        name,
        datasetId: dataset.id,
        starter,
        temporary: this.#temporary,
        ...intoOf(into),
      });
      return startFromBody(studio, project, dataset.manifest);
    });
  }

  table(
    file: Blob,
    source: { readonly name: string; readonly kind: 'file' | 'paste' },
    steps: ImportSteps,
  ): Promise<Project | null> {
    return this.#make(steps, async (studio, callId, say) => {
      const into = this.#goesInto;
      const result = await studio.importTable(callId, file, { ...source, ...intoOf(into) }, say);
      this.#understood = { datasetId: result.dataset.id, words: result.understood };
      say({ label: steps.preparing });
      const name = source.name.replace(/\.[^.]+$/, '');
      return studio.createProject({
        name,
        datasetId: result.dataset.id,
        temporary: this.#temporary,
        ...intoOf(into),
      });
    });
  }

  /** A project on pictures that were brought (Pictures). */
  pictures(result: ImportResult, steps: Pick<ImportSteps, 'preparing'>): Promise<Project | null> {
    return this.#make({ reading: steps.preparing, ...steps }, async (studio) => {
      const { id, manifest } = result.dataset;
      this.#understood = { datasetId: id, words: result.understood };
      const project = await studio.createProject({
        name: manifest.name,
        datasetId: id,
        temporary: this.#temporary,
        ...intoOf(this.#goesInto),
      });
      return startFromBody(studio, project, manifest);
    });
  }

  /** A `.terrarium` file. */
  projectFile(file: Blob, steps: ImportSteps): Promise<Project | null> {
    return this.#make(steps, async ({ store }, callId, say) => {
      if (this.into !== null) throw noFileInto();
      const summary = await store.readArchive(file);
      if (summary.projects.length > 1) {
        this.#archive = { file, summary };
        return null;
      }
      this.#opened = await store.importArchive(callId, file, null, say);
      return this.#opened.projects[0] ?? null;
    });
  }

  /** The projects of `archive` that were chosen; null for all of them with what else is in it. */
  async openArchive(chosen: readonly Id[] | null, steps: ImportSteps): Promise<void> {
    const archive = this.#archive;
    if (!archive) return;
    await this.#make(steps, async ({ store }, callId, say) => {
      this.#opened = await store.importArchive(callId, archive.file, chosen, say);
      return null;
    });
    if (this.#opened) this.#archive = null;
  }

  closeArchive(): void {
    this.#archive = null;
    this.cancel();
  }

  /** What the last project file brought; once. */
  takeOpened(): Imported | null {
    const opened = this.#opened;
    this.#opened = null;
    return opened;
  }

  cancel(): void {
    const callId = this.#callId;
    this.#callId = null;
    this.#progress = null;
    if (callId === null) return;
    void this.#studio()
      .then((studio) => studio.cancel(callId))
      .catch((error: unknown) => (this.#error = error));
  }

  /** Null when it was cancelled or failed; the failure is then in `error`. */
  async #make(
    steps: ImportSteps,
    work: (
      studio: Studio,
      callId: string,
      say: (progress: Progress) => void,
    ) => Promise<Project | null>,
  ): Promise<Project | null> {
    if (this.#callId !== null) return null;
    const callId = crypto.randomUUID();
    this.#callId = callId;
    this.#error = null;
    this.#progress = { label: steps.reading };
    try {
      const studio = await this.#studio();
      const project = await work(studio, callId, (progress) => {
        if (this.#callId === callId) this.#progress = progress;
      });
      if (this.#callId !== callId) return null;
      this.into = null;
      return project;
    } catch (error) {
      if (this.#callId === callId) this.#error = error;
      return null;
    } finally {
      if (this.#callId === callId) {
        this.#callId = null;
        this.#progress = null;
      }
    }
  }
}

function noFileInto(): AppError {
  return new AppError(
    'vault/no-project-file',
    'A project file opens in the open, not inside a lock. Open it first, then put a lock on it.',
  );
}

/** Coloured pictures from this side on are what the embedded body was taught with. */
const BODY_SIDE = 64;

/**
 * Photographs begin with a trained body and a new head: a few dozen pictures teach it in seconds, where a network of
 * one's own would need thousands. The Model screen changes it.
 */
async function startFromBody(
  studio: Studio,
  project: Project,
  manifest: DatasetManifest,
): Promise<Project> {
  const { training } = project;
  const fits = manifest.type === 'images' && manifest.channels === 3 && manifest.width >= BODY_SIDE;
  if (!fits || training === null) return project;
  const source = { kind: 'embedded', id: BACKBONE } as const;
  const summary = await studio.workers.train.describePretrained(source);
  return studio.store.editProject(project.id, project.revision, {
    blueprint: pretrainedBlueprint(source, summary, manifest),
    training: pacedTraining(training, 'head'),
  });
}

function intoOf(into: Id | undefined): { readonly into?: Id } {
  return into === undefined ? {} : { into };
}

export interface ImportSteps {
  readonly reading: string;
  readonly preparing: string;
}
