/**
 * When the storage does not open, is taken away, or was lost: what happened, what is safe, and the ways on. Nothing
 * here deletes anything; to begin anew takes other databases beside those that are damaged.
 */
import { AppError } from '../core/errors';
import type { StoreStatus } from '../protocol/api';
import { lostSince } from '../protocol/storage';
import { beginAnew, knownStore, rememberAnew, rememberStore } from '../services/storage-health';
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
  /** It opens, and what was here is not: all of it, what was saved last, the lists, or the bytes. */
  | 'all-lost'
  | 'changes-lost'
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
  /** As it was before the store was opened: what is saved from then on is no less. */
  readonly #known = knownStore();
  #examined: StoreStatus | null = null;
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
    return ['bytes-lost', 'changes-lost'].includes(this.#trouble?.kind ?? '');
  }

  /** Whether something may still be read past the store, which does not open. */
  get salvageable(): boolean {
    return ['full', 'failed'].includes(this.#trouble?.kind ?? '');
  }

  watch(studio: Studio): void {
    studio.workers.onTrouble = (error) => this.notice(error);
    studio.workers.onOpened = (status) => this.examine(status);
    studio.workers.onSaved = (mark) => {
      // While a loss is not acknowledged, what was there before it stays known.
      if (this.#examined !== null && this.#trouble === null) rememberStore(mark);
    };
  }

  notice(error: unknown): void {
    const kind = kindOf(error);
    if (kind) this.#trouble = { kind, error, projects: this.#known?.projects ?? 0 };
  }

  /** Looks whether this is the store that was here before, and remembers it for the next time. */
  examine(status: StoreStatus): void {
    const { loss, mark, readOnly } = status;
    // Once for each opening; what it found does not change until the next one.
    if (this.#trouble || readOnly || !mark || status === this.#examined) return;
    const first = this.#examined === null;
    this.#examined = status;
    const before = first ? this.#known : null;
    const lost = loss?.kind ?? (before && lostSince(before, mark));
    if (lost === null) rememberStore(mark);
    else {
      const projects = loss?.projects ?? before?.projects ?? 0;
      this.#trouble = { kind: `${lost}-lost`, error: null, projects };
    }
  }

  tryAgain(): void {
    location.reload();
  }

  /** Everything that reads, as one file; the damaged parts are left out and named. */
  saveAll(deliver: (file: Blob) => void): Promise<void> {
    return this.#do('save', async ({ store, workers }) => {
      const request = { projects: 'all', withData: true, withTrash: true } as const;
      const { file, leftOut } = this.salvageable
        ? await workers.salvage()
        : await store.exportArchive(crypto.randomUUID(), request, null, () => undefined);
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
      const { mark } = await studio.storeStatus();
      if (mark) rememberAnew(mark);
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
