/** Saving projects as a file: what goes into it is shown first, then it is written step by step, and can be cancelled. */
import type { Progress } from '../protocol/api';
import type { Exported, ExportPlan, ExportRequest } from '../protocol/backup';
import type { Project } from '../protocol/entities';
import { AppError } from '../core/errors';
import { Backup } from '../services/backup';
import type { Studio } from './studio';

export class Saving {
  readonly #studio: () => Promise<Studio>;
  readonly #onSaved: () => void;
  #project = $state.raw<Project | null>(null);
  #open = $state(false);
  #withData = $state(true);
  #withTrash = $state(false);
  #plan = $state.raw<ExportPlan | null>(null);
  #progress = $state.raw<Progress | null>(null);
  #error = $state.raw<unknown>(null);
  #saved = $state.raw<Exported | null>(null);
  #callId: string | null = null;

  constructor(studio: () => Promise<Studio>, onSaved: () => void) {
    this.#studio = studio;
    this.#onSaved = onSaved;
  }

  get open(): boolean {
    return this.#open;
  }

  /** null where it is everything. */
  get project(): Project | null {
    return this.#project;
  }

  get withData(): boolean {
    return this.#withData;
  }

  set withData(on: boolean) {
    this.#withData = on;
    void this.#look();
  }

  get withTrash(): boolean {
    return this.#withTrash;
  }

  set withTrash(on: boolean) {
    this.#withTrash = on;
    void this.#look();
  }

  /** Null while it is being looked at. */
  get plan(): ExportPlan | null {
    return this.#plan;
  }

  get progress(): Progress | null {
    return this.#progress;
  }

  get error(): unknown {
    return this.#error;
  }

  /** What went into the file; null before. */
  get saved(): Exported | null {
    return this.#saved;
  }

  /** Asks about one project, or about everything. */
  ask(project: Project | null): void {
    this.#project = project;
    this.#withData = true;
    this.#withTrash = false;
    this.#saved = null;
    this.#error = null;
    this.#open = true;
    void this.#look();
  }

  /** What was going on ends, and nothing of it stays. */
  close(): void {
    this.#open = false;
    this.cancel();
  }

  cancel(): void {
    const callId = this.#callId;
    if (callId === null) return;
    this.#studio()
      .then(({ store }) => store.cancelArchive(callId))
      .catch((error: unknown) => (this.#error = error));
  }

  /** Into `target`, or as the Blob of the answer; null when it failed (`error` says why) or was cancelled. */
  async save(target: FileSystemFileHandle | null): Promise<Exported | null> {
    if (this.#callId !== null) return null;
    this.#error = null;
    try {
      this.#saved = await this.write(this.#request(), target);
      return this.#saved;
    } catch (error) {
      const cancelled = error instanceof AppError && error.code === 'backup/cancelled';
      if (!cancelled) this.#error = error;
      return null;
    }
  }

  refuse(error: unknown): void {
    this.#error = error;
  }

  /** Without a question; throws what went wrong. */
  async write(request: ExportRequest, target: FileSystemFileHandle | null): Promise<Exported> {
    const callId = crypto.randomUUID();
    this.#callId = callId;
    try {
      const { store } = await this.#studio();
      const exported = await store.exportArchive(callId, request, target, (progress) => {
        if (this.#callId === callId) this.#progress = progress;
      });
      // A file without the rows is no backup of them.
      if (request.withData) await this.#remember(exported);
      return exported;
    } finally {
      this.#callId = null;
      this.#progress = null;
    }
  }

  async #remember({ saved }: Exported): Promise<void> {
    const studio = await this.#studio();
    // A store that only reads can be saved, and remembers nothing.
    if ((await studio.storeStatus()).readOnly) return;
    await new Backup(studio.store).stamp(saved, 'file');
    this.#onSaved();
  }

  async #look(): Promise<void> {
    const request = this.#request();
    this.#plan = null;
    try {
      const plan = await (await this.#studio()).store.planExport(request);
      if (this.#withData === request.withData && this.#withTrash === request.withTrash) {
        this.#plan = plan;
      }
    } catch (error) {
      this.#error = error;
    }
  }

  #request(): ExportRequest {
    const projects = this.#project ? [this.#project.id] : 'all';
    return { projects, withData: this.#withData, withTrash: this.#withTrash };
  }
}
