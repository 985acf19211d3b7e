/**
 * This page among the studio's other tabs. It claims the project that it shows, asks before it takes one over, hears
 * what other tabs wrote, and shows its run to those that look on. What protects the records is in the store; nothing
 * here has to arrive for them to be safe.
 */
import { AppError } from '../core/errors';
import type { Id } from '../protocol/entities';
import { STORE_NAME, changesChannel, livingLock, tabsChannel, writerLock } from '../protocol/tabs';
import type { SharedRunEvent, StoreChange, TabMessage, TabsStoreApi } from '../protocol/tabs';
import type { Async } from './bridge';
import type { RunEvent } from './runs';

/** What a project on this page does when other tabs move. */
export interface Seated {
  /** Another tab asks for the project: saves what is open and ends what is under way. */
  letGo(): Promise<void>;
  /** Another tab has taken the project; nothing more is written here. */
  moved(): void;
  /** Another tab wrote, in these tables. */
  written(tables: readonly string[]): void;
  /** The tab that wrote it has let go, or another has taken its place. */
  freed(free: boolean): void;
  /** The run of the tab that writes. */
  run(begins: boolean, events: readonly SharedRunEvent[]): void;
  /** What is under way here, from its beginning, for a tab that looks on. */
  underWay(): readonly RunEvent[];
}

export interface TabsOptions {
  readonly store?: string;
  /** Silence after which a tab counts as frozen. */
  readonly silenceMs?: number;
  /** How long a tab that answered may take to save. */
  readonly savingMs?: number;
  /** Events of a run are gathered for so long. */
  readonly gatherMs?: number;
}

export class Tabs {
  readonly #store: Async<TabsStoreApi>;
  readonly #name: string;
  readonly #changes: BroadcastChannel;
  readonly #pages: BroadcastChannel;
  readonly #silenceMs: number;
  readonly #savingMs: number;
  readonly #gatherMs: number;
  readonly #seated = new Map<Id, Seated>();
  /** Epochs of the claims that this page has. */
  readonly #epochs = new Map<Id, number>();
  /** Projects whose writer is waited for, in case it dies without a word. */
  readonly #watched = new Map<Id, AbortController>();
  readonly #followers = new Set<() => void>();
  readonly #answers = new Map<string, (answer: 'saving' | 'given') => void>();
  readonly #gathered = new Map<Id, { begins: boolean; events: SharedRunEvent[] }>();

  constructor(store: Async<TabsStoreApi>, options: TabsOptions = {}) {
    const {
      store: name = STORE_NAME,
      silenceMs = 2_000,
      savingMs = 15_000,
      gatherMs = 200,
    } = options;
    this.#store = store;
    this.#name = name;
    this.#silenceMs = silenceMs;
    this.#savingMs = savingMs;
    this.#gatherMs = gatherMs;
    this.#changes = new BroadcastChannel(changesChannel(name));
    this.#pages = new BroadcastChannel(tabsChannel(name));
    this.#changes.onmessage = ({ data }: MessageEvent<StoreChange>) => this.#changed(data);
    this.#pages.onmessage = ({ data }: MessageEvent<TabMessage>) => this.#told(data);
  }

  /** Calls `changed` whenever a tab wrote what lists of projects show. Returns what ends that. */
  follow(changed: () => void): () => void {
    this.#followers.add(changed);
    return () => this.#followers.delete(changed);
  }

  /** From now on the project hears of other tabs. True where this tab writes it, false where another does. */
  async sit(projectId: Id, seated: Seated): Promise<boolean> {
    this.#seated.set(projectId, seated);
    const writes = await this.#claim(projectId, false);
    if (!writes) this.watch(projectId);
    return writes;
  }

  /** The page shows the project no more. While a run is under way it stays with this tab, and still hears. */
  async rise(projectId: Id, busy: boolean): Promise<void> {
    if (!busy) this.#seated.delete(projectId);
    this.#unwatch(projectId);
    await this.#store.releaseProject(projectId);
  }

  /** Asks the tab that writes the project to save and let go. One that stays silent is frozen: its lock is stolen. */
  async takeOver(projectId: Id, onSaving: () => void): Promise<void> {
    if (await this.#claim(projectId, false)) return;
    const ask = crypto.randomUUID();
    await new Promise<void>((resolve) => {
      let timer = setTimeout(resolve, this.#silenceMs);
      this.#answers.set(ask, (answer) => {
        clearTimeout(timer);
        if (answer === 'given') return resolve();
        onSaving();
        timer = setTimeout(resolve, this.#savingMs);
      });
      this.#tell({ type: 'ask', projectId, ask });
    });
    this.#answers.delete(ask);
    await this.#claim(projectId, true);
  }

  /** Asks to be shown what is under way in the tab that writes. */
  watch(projectId: Id): void {
    this.#tell({ type: 'watch', projectId });
  }

  /** Shows an event of this tab's run to the others. */
  share(projectId: Id, event: RunEvent, begins = false): void {
    if (event.type === 'hardest' || event.type === 'profile') return;
    const gathered = this.#gathered.get(projectId);
    if (!gathered) {
      this.#gathered.set(projectId, { begins, events: [event] });
      setTimeout(() => this.#flush(projectId), this.#gatherMs);
    } else if (begins) {
      gathered.begins = true;
      gathered.events = [event];
    } else {
      gathered.events.push(event);
    }
  }

  async #claim(projectId: Id, takeOver: boolean): Promise<boolean> {
    try {
      const { epoch } = await this.#store.claimProject(projectId, { takeOver });
      this.#epochs.set(projectId, epoch);
      this.#unwatch(projectId);
      return true;
    } catch (error) {
      if (!(error instanceof AppError) || takeOver) throw error;
      // A full disk keeps nobody out: each write then claims for its own time, where there is room for it.
      if (error.code === 'store/quota') return true;
      if (!READS.includes(error.code)) throw error;
      if (error.code !== 'store/read-only') void this.#watchWriter(projectId);
      return false;
    }
  }

  /** Waits until the tab that writes the project is gone, whatever the way: the browser frees the locks of the dead. */
  async #watchWriter(projectId: Id): Promise<void> {
    this.#unwatch(projectId);
    if (!this.#seated.has(projectId)) return;
    const ending = new AbortController();
    const { signal } = ending;
    this.#watched.set(projectId, ending);
    try {
      for (let looks = 0; looks < MOST_LOOKS && !signal.aborted; looks++) {
        const { held = [] } = await navigator.locks.query();
        const writer = held.find(({ name }) => name === writerLock(this.#name, projectId));
        if (signal.aborted) return;
        if (!writer) return this.#freed(projectId);
        const living = held.find(
          ({ name, clientId }) =>
            clientId === writer.clientId && name?.startsWith(livingLock(this.#name, '')),
        )?.name;
        // Of one that is dying, one lock may be free before the other.
        if (living === undefined) await new Promise((resolve) => setTimeout(resolve, DYING_MS));
        else await navigator.locks.request(living, { signal, mode: 'shared' }, () => undefined);
      }
    } catch (error) {
      if (!signal.aborted) console.warn('Whether another tab still writes is not known.', error);
    }
  }

  #unwatch(projectId: Id): void {
    this.#watched.get(projectId)?.abort();
    this.#watched.delete(projectId);
  }

  #freed(projectId: Id): void {
    this.#unwatch(projectId);
    this.#seated.get(projectId)?.freed(true);
  }

  #changed(change: StoreChange): void {
    if (isListed(change)) for (const changed of this.#followers) changed();
    if (change.type === 'erased') {
      for (const seated of this.#seated.values()) seated.written([]);
      return;
    }
    const { projectId } = change;
    const own = this.#epochs.get(projectId);
    const seated = this.#seated.get(projectId);
    if (change.type === 'written') {
      if (own === undefined) seated?.written(change.tables);
    } else if (own === undefined) {
      if (change.type === 'released') this.#freed(projectId);
      if (change.type === 'claimed') {
        seated?.freed(false);
        void this.#watchWriter(projectId);
      }
    } else if (change.type === 'claimed' ? change.epoch > own : change.epoch === own) {
      this.#epochs.delete(projectId);
      if (change.type !== 'released') {
        seated?.moved();
        void this.#watchWriter(projectId);
      }
    }
  }

  #told(message: TabMessage): void {
    switch (message.type) {
      case 'ask':
        void this.#asked(message.projectId, message.ask);
        break;
      case 'saving':
      case 'given':
        this.#answers.get(message.ask)?.(message.type);
        break;
      case 'watch': {
        if (!this.#epochs.has(message.projectId)) break;
        const [first, ...more] = this.#seated.get(message.projectId)?.underWay() ?? [];
        if (first) this.share(message.projectId, first, true);
        for (const event of more) this.share(message.projectId, event);
        break;
      }
      case 'run':
        if (this.#epochs.has(message.projectId)) break;
        this.#seated.get(message.projectId)?.run(message.begins, message.events);
    }
  }

  async #asked(projectId: Id, ask: string): Promise<void> {
    const seated = this.#seated.get(projectId);
    if (!seated || !this.#epochs.has(projectId)) return;
    this.#tell({ type: 'saving', ask });
    try {
      await seated.letGo();
    } catch (error) {
      // The other tab takes it all the same; what could not be saved is still on this page.
      console.warn('Not everything was saved before the project moved to another tab.', error);
    }
    await this.#store.releaseProject(projectId);
    this.#tell({ type: 'given', ask });
  }

  #flush(projectId: Id): void {
    const gathered = this.#gathered.get(projectId);
    this.#gathered.delete(projectId);
    if (gathered) this.#tell({ type: 'run', projectId, ...gathered });
  }

  #tell(message: TabMessage): void {
    this.#pages.postMessage(message);
  }
}

/** How often, and after how long, the locks of a tab are looked at that seems to be dying. */
const MOST_LOOKS = 20;
const DYING_MS = 250;

/** Names, order, pictures of curves, and which projects are locked. */
const LISTED: readonly string[] = ['projects', 'models', 'vaults'];

function isListed(change: StoreChange): boolean {
  if (change.type === 'written') return change.tables.some((table) => LISTED.includes(table));
  return change.type === 'erased';
}

/** Another tab writes; or the storage is of a newer version, and nobody here does. */
const READS: readonly string[] = ['store/elsewhere', 'store/moved', 'store/read-only'];
