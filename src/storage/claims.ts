/**
 * One writer a project. Who writes holds the Web Lock `<store>-writer-<id>`, so a dead tab's project is free at once.
 * A lock can be stolen from a tab that is frozen in the middle of a write, so each claim also counts the project's
 * epoch up, on disk, and every write transaction checks it: what the overtaken tab writes after that aborts.
 */
import { AppError } from '../core/errors';
import type { Id, Timestamp } from '../protocol/entities';
import { livingLock, writerLock } from '../protocol/tabs';
import type { StoreChange } from '../protocol/tabs';
import { guarded, notFound } from './errors';
import { takeLock, theftsHeard } from './locks';
import type { Lock } from './locks';
import { isActive } from './run-status';
import type { CoreDatabase } from './schema';
import type { Unreadable } from './unreadable';

/** How long the locks of a page that is being closed may outlive it, and how often that is looked at. */
const DYING_MS = 150;
const LOOKS = 3;

/** Why a store keeps a project: the page shows it, a run is under way, a write is. The last one gone frees it. */
export type Holder = string | symbol;

/** Whether a lock that another store has is waited for a little, or taken from it. */
type How = 'at once' | 'patient' | 'steal';

interface Claim {
  readonly holders: Set<Holder>;
  epoch: Promise<number>;
  lock: Lock | null;
  lost: boolean;
}

/** Inside a transaction that has the table `writers`: aborts it when the claim with this epoch was overtaken. */
export async function assertEpoch(
  { writers }: Pick<CoreDatabase, 'writers'>,
  projectId: Id,
  epoch: number,
): Promise<void> {
  if ((await writers.get(projectId))?.epoch !== epoch) throw movedAway(projectId);
}

export class Claims {
  readonly #store: string;
  readonly #core: CoreDatabase;
  readonly #unreadable: Unreadable;
  readonly #now: () => Timestamp;
  readonly #tell: (change: StoreChange) => void;
  readonly #claims = new Map<Id, Claim>();
  /** A tab that crashes says nothing; that this is free again does. */
  #living: Promise<Lock | null> | null = null;
  /** Locks on their way back: the next claim of this store waits for its own. */
  readonly #ending = new Map<Id, Promise<void>>();

  constructor(
    store: string,
    core: CoreDatabase,
    unreadable: Unreadable,
    now: () => Timestamp,
    tell: (change: StoreChange) => void,
  ) {
    this.#store = store;
    this.#core = core;
    this.#unreadable = unreadable;
    this.#now = now;
    this.#tell = tell;
  }

  /** The epoch to write with; claims the project when this store has not. `store/moved` after a take-over. */
  async hold(projectId: Id, holder: Holder): Promise<number> {
    const claim = this.#claims.get(projectId) ?? this.#begin(projectId, 'at once');
    if (claim.lost) throw movedAway(projectId);
    claim.holders.add(holder);
    try {
      return await claim.epoch;
    } catch (error) {
      claim.holders.delete(holder);
      throw error;
    }
  }

  /** The same, where a claim that was lost is made anew, and one that is about to be free is waited for. */
  async claim(projectId: Id, holder: Holder, takeOver = false): Promise<number> {
    for (;;) {
      const known = this.#claims.get(projectId);
      if (known && (await this.#stands(projectId, known))) break;
      const now = this.#claims.get(projectId);
      if (now !== undefined && now !== known) continue;
      this.#begin(projectId, 'patient');
      break;
    }
    try {
      return await this.hold(projectId, holder);
    } catch (error) {
      if (!takeOver || !(error instanceof AppError) || error.code !== 'store/elsewhere')
        throw error;
    }
    if (!this.#claims.has(projectId)) this.#begin(projectId, 'steal');
    return this.hold(projectId, holder);
  }

  /** Whether the claim is there and nobody overtook it, unheard by a tab that was frozen meanwhile. */
  async #stands(projectId: Id, claim: Claim): Promise<boolean> {
    if (claim.lost) return false;
    const epoch = await claim.epoch.catch(() => null);
    const row = await guarded('the writer of a project', () => this.#core.writers.get(projectId));
    return this.#claims.get(projectId) === claim && !claim.lost && row?.epoch === epoch;
  }

  has(projectId: Id, holder: Holder): boolean {
    return this.#claims.get(projectId)?.holders.has(holder) ?? false;
  }

  /** One reason less to keep the project. */
  let(projectId: Id, holder: Holder): void {
    const claim = this.#claims.get(projectId);
    if (!claim?.holders.delete(holder) && !claim?.lost) return;
    if (claim.holders.size === 0) this.#end(projectId, claim);
  }

  /** Whatever the reasons: the project was erased, or a write found that it has another writer. */
  lose(projectId: Id): void {
    const claim = this.#claims.get(projectId);
    if (claim) claim.lost = true;
  }

  drop(projectId: Id): void {
    const claim = this.#claims.get(projectId);
    if (claim) this.#end(projectId, claim);
  }

  dropAll(): void {
    for (const projectId of [...this.#claims.keys()]) this.drop(projectId);
  }

  /** The store is closed: it writes no more. */
  close(): void {
    this.dropAll();
    void this.#living?.then((lock) => lock?.release());
    this.#living = null;
  }

  #begin(projectId: Id, how: How): Claim {
    const claim: Claim = {
      holders: new Set(),
      epoch: Promise.resolve(0),
      lock: null,
      lost: false,
    };
    // Where its epoch was overtaken, or erased, its lock would only be in the way.
    const former = this.#claims.get(projectId);
    if (former) this.#end(projectId, former);
    this.#claims.set(projectId, claim);
    claim.epoch = this.#acquire(projectId, claim, how);
    claim.epoch.catch(() => {
      // Whoever waits for it hears why; the next one tries again.
      if (this.#claims.get(projectId) === claim) this.#claims.delete(projectId);
    });
    return claim;
  }

  #end(projectId: Id, claim: Claim): void {
    this.#claims.delete(projectId);
    const ended = claim.epoch
      .then(async (epoch) => {
        await claim.lock?.release();
        if (!claim.lost) this.#tell({ type: 'released', projectId, epoch });
      })
      .catch(() => undefined)
      .then(() => {
        if (this.#ending.get(projectId) === ended) this.#ending.delete(projectId);
      });
    this.#ending.set(projectId, ended);
  }

  async #acquire(projectId: Id, claim: Claim, how: How): Promise<number> {
    const onStolen = (): void => {
      claim.lost = true;
      claim.epoch
        .then((epoch) => this.#tell({ type: 'lost', projectId, epoch }))
        .catch(() => undefined);
    };
    const name = writerLock(this.#store, projectId);
    const options = how === 'steal' ? { steal: true } : { ifAvailable: true };
    this.#living ??= takeLock(livingLock(this.#store, crypto.randomUUID()));
    await Promise.all([this.#living, this.#ending.get(projectId)]);
    let lock = await takeLock(name, options, onStolen);
    // After a reload the former page's worker may still be dying, and its lock with it: look again.
    for (let look = 1; how === 'patient' && look < LOOKS && lock === null; look++) {
      await new Promise((resolve) => setTimeout(resolve, DYING_MS));
      lock = await takeLock(name, { ifAvailable: true }, onStolen);
    }
    if (lock === null) throw elsewhere(projectId);
    claim.lock = lock;
    try {
      const epoch = await this.#countUp(projectId, claim);
      this.#tell({ type: 'claimed', projectId, epoch });
      return epoch;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /**
   * Only the store that has the lock last may end with the highest epoch. So the epoch is read, then the lock looked
   * at, and the count goes up from what was read or not at all: a thief that came in between made it higher.
   */
  async #countUp(projectId: Id, claim: Claim): Promise<number> {
    for (;;) {
      const seen = await guarded('the writer of a project', () =>
        this.#core.writers.get(projectId),
      );
      await theftsHeard();
      if (claim.lost) throw elsewhere(projectId);
      const next = await this.#countUpFrom(projectId, seen?.epoch ?? 0);
      if (next !== null) return next;
    }
  }

  async #countUpFrom(projectId: Id, seen: number): Promise<number | null> {
    const { writers, projects, vaults, runs } = this.#core;
    const count = () =>
      this.#core.transaction('rw', [writers, projects, vaults, runs], async () => {
        const epoch = (await writers.get(projectId))?.epoch ?? 0;
        if (epoch !== seen) return null;
        const known = (await projects.get(projectId)) ?? (await vaults.get(projectId));
        if (known === undefined) throw notFound('project', projectId);
        await writers.put({ projectId, epoch: epoch + 1, since: this.#now() });
        // Nobody is at work on what the former writer left running: this store has not begun yet.
        // As a list: a cursor would stop at a record that cannot be read.
        const left = (await runs.where({ projectId }).toArray()).filter((run) =>
          isActive(run.status),
        );
        await runs.bulkPut(left.map((run) => ({ ...run, status: 'interrupted' })));
        return epoch + 1;
      });
    return guarded('the writer of a project', () => this.#unreadable.around(count));
  }
}

function movedAway(projectId: Id): AppError {
  return new AppError(
    'store/moved',
    'This project moved to another tab, so this change was not written. Take the project back, or keep the change as a copy.',
    { projectId },
  );
}

function elsewhere(projectId: Id): AppError {
  return new AppError(
    'store/elsewhere',
    'This project is open for editing in another tab of this browser. Go on there, close that tab, or open the project here and take it over.',
    { projectId },
  );
}
