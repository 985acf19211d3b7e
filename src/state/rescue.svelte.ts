/**
 * When the storage does not open, is taken away, or was lost: what happened, what is safe, and the ways on. Nothing
 * here deletes anything; to begin anew takes other databases beside those that are damaged.
 */
import { AppError } from '../core/errors';
import type { StoreStatus } from '../protocol/api';
import { beginAnew, knownStore, rememberStore } from '../services/storage-health';
import type { Studio } from './studio';

export type TroubleKind =
  /** It does not open: no room, forbidden, an old tab in the way, written by a newer build, or for no known reason. */
  | 'full'
  | 'forbidden'
  | 'blocked'
  | 'newer'
  | 'failed'
  /** Under us. */
  | 'deleted'
  | 'closed'
  | 'updated'
  /** It opens, and what was here is not: all of it, the lists, or the bytes. */
  | 'all-lost'
  | 'records-lost'
  | 'bytes-lost';

export interface Trouble {
  readonly kind: TroubleKind;
  readonly error: unknown;
  /** Projects that were here when the page last looked. */
  readonly projects: number;
}

type Task = 'save' | 'heal' | 'go-on';

export class Rescue {
  readonly #studio: () => Promise<Studio>;
  #known = knownStore();
  #acknowledged = false;
  #trouble = $state.raw<Trouble | null>(null);
  #busy = $state<Task | null>(null);
  #error = $state.raw<unknown>(null);
  #leftOut = $state.raw<readonly string[] | null>(null);
  #problems = $state.raw<readonly string[] | null>(null);

  constructor(studio: () => Promise<Studio>) {
    this.#studio = studio;
  }

  get trouble(): Trouble | null {
    return this.#trouble;
  }

  get busy(): Task | null {
    return this.#busy;
  }

  get error(): unknown {
    return this.#error;
  }

  /** What the file that was saved lacks; null before one was. */
  get leftOut(): readonly string[] | null {
    return this.#leftOut;
  }

  /** What is damaged after healing; null before. */
  get problems(): readonly string[] | null {
    return this.#problems;
  }

  /** Whether what is stored can be read, so that it can be saved and healed. */
  get readable(): boolean {
    return this.#trouble?.kind === 'bytes-lost';
  }

  watch(studio: Studio): void {
    studio.workers.onTrouble = (error) => this.notice(error);
  }

  notice(error: unknown): void {
    const kind = kindOf(error);
    if (kind) this.#trouble = { kind, error, projects: this.#known?.projects ?? 0 };
  }

  /** Looks whether this is the store that was here before, and remembers it for the next time. */
  async examine({ store }: Studio, { loss, incarnation, readOnly }: StoreStatus): Promise<void> {
    if (this.#trouble || readOnly || !incarnation) return;
    const [live, trashed] = await Promise.all([
      store.listProjects(),
      store.listProjects({ trashed: true }),
    ]);
    const projects = live.length + trashed.length;
    const before = this.#known;
    const replaced = before !== null && before.incarnation !== incarnation && before.projects > 0;
    const lost = loss && !this.#acknowledged;
    const kind = lost ? (`${loss.kind}-lost` as const) : replaced ? 'all-lost' : null;
    if (kind === null) rememberStore({ incarnation, projects });
    else this.#trouble = { kind, error: null, projects: before?.projects ?? 0 };
  }

  tryAgain(): void {
    location.reload();
  }

  /** Everything that reads, as one file; the damaged parts are left out and named. */
  saveAll(deliver: (file: Blob) => void): Promise<void> {
    return this.#do('save', async ({ store }) => {
      const request = { projects: 'all', withData: true, withTrash: true } as const;
      const { file, leftOut } = await store.exportArchive(
        crypto.randomUUID(),
        request,
        null,
        () => undefined,
      );
      if (file) deliver(file);
      this.#leftOut = leftOut;
    });
  }

  heal(): Promise<void> {
    return this.#do('heal', async ({ store }) => {
      this.#problems = await store.heal();
    });
  }

  /** The loss is known: on with what there is. */
  goOn(): Promise<void> {
    return this.#do('go-on', async (studio) => {
      await studio.store.acknowledgeLoss();
      const { incarnation = '' } = await studio.storeStatus();
      const live = await studio.store.listProjects();
      this.#known = { incarnation, projects: live.length };
      rememberStore(this.#known);
      this.#acknowledged = true;
      this.#trouble = null;
    });
  }

  beginAnew(): void {
    beginAnew();
    location.reload();
  }

  async #do(task: Task, work: (studio: Studio) => Promise<void>): Promise<void> {
    if (this.#busy !== null) return;
    this.#busy = task;
    this.#error = null;
    try {
      await work(await this.#studio());
    } catch (error) {
      this.#error = error;
    } finally {
      this.#busy = null;
    }
  }
}

/** null for what is no trouble of the storage as a whole. */
function kindOf(error: unknown): TroubleKind | null {
  if (!(error instanceof AppError)) return null;
  const { why, reason } = error.data;
  switch (error.code) {
    case 'store/blocked':
      return 'blocked';
    case 'store/unknown-schema':
      return 'newer';
    case 'store/closed-under-us':
      return why === 'newer' ? 'updated' : why === 'deleted' ? 'deleted' : 'closed';
    case 'store/open-failed':
      return reason === 'full' || reason === 'forbidden' ? reason : 'failed';
    default:
      return null;
  }
}
