/**
 * An opened vault as a store of its own: its databases are decrypted copies in memory, and a write is acknowledged
 * only when what it changed has been sealed and is on the disk, in one strict transaction. When that fails, or another
 * tab has written, the copy is thrown away and made anew from the disk.
 */
import type { Table } from 'dexie';
import type { Id } from '../../protocol/entities';
import type { StoreChange } from '../../protocol/tabs';
import type { Claims } from '../claims';
import { assertEpoch } from '../claims';
import { StoreContext } from '../context';
import { guarded } from '../errors';
import { isActive } from '../run-status';
import type { CoreDatabase, SealedRow } from '../schema';
import { SealedChunks } from './chunks';
import { Damage } from './damage';
import { closedVault, isTampered } from './errors';
import type { Image } from './image';
import { SEALED_TABLES } from './image';
import type { VaultKeys } from './keys';
import { namedChunks } from './named';
import { readRows } from './reading';
import { openRow, rowKey, sealRow } from './rows';
import { standIn } from './stand-in';

type OpenedRow = Awaited<ReturnType<typeof openRow>>;

/** The store that the vault is part of. */
export interface Outside {
  readonly context: StoreContext;
  /** Tells other tabs, and hears only them. */
  readonly tell: (change: StoreChange) => void;
  readonly partBytes: number | undefined;
}

export class VaultContext extends StoreContext {
  readonly projectId: Id;
  override readonly chunks: SealedChunks;
  /** Those of the whole store: a locked project has one writer as any other. */
  override readonly claims: Claims;
  /** Records that do not open. While there are any nobody knows what they name: no bytes are given up. */
  readonly damage: Damage;
  readonly #outside: Outside;
  readonly #keys: VaultKeys;
  readonly #image: Image;
  /** This store's last claim, while the copy is known to be what is on the disk. */
  #epoch: number | null = null;
  #closed = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(outside: Outside, keys: VaultKeys, image: Image) {
    const { context } = outside;
    super(context.name, image.core, image.cache, context.now, outside.partBytes);
    this.projectId = keys.projectId;
    this.chunks = new SealedChunks(
      keys,
      context.cache,
      image.cache,
      context.now,
      outside.partBytes,
    );
    this.claims = context.claims;
    this.damage = new Damage(keys);
    this.ledger = null;
    this.readOnly = context.readOnly;
    this.#outside = outside;
    this.#keys = keys;
    this.#image = image;
  }

  override newProjectId(): Id {
    return this.projectId;
  }

  override get damagedRecords(): readonly string[] {
    return this.damage.words;
  }

  override tell(change: StoreChange): void {
    this.#outside.tell(change);
  }

  override read<T>(what: string, tables: Table[], body: () => PromiseLike<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closedVault(this.projectId));
    return super.read(what, tables, body);
  }

  override write<T>(what: string, tables: Table[], body: () => PromiseLike<T>): Promise<T> {
    return this.#inTurn(() => this.#writeThrough(what, tables, body, null));
  }

  override writeProject<T>(
    projectId: Id,
    what: string,
    tables: Table[],
    body: () => PromiseLike<T>,
  ): Promise<T> {
    return this.whileHeld(projectId, Symbol(what), (epoch) =>
      this.#inTurn(async () => {
        await this.#catchUp(epoch);
        const result = await this.#writeThrough(what, tables, body, epoch);
        this.tell({ type: 'written', projectId, tables: tables.map(({ name }) => name) });
        return result;
      }),
    );
  }

  /** The lock came first: its row in `writers` is there already. */
  override writeNewProject<T>(
    projectId: Id,
    what: string,
    tables: Table[],
    body: () => PromiseLike<T>,
  ): Promise<T> {
    return this.writeProject(projectId, what, tables, body);
  }

  /** This store has just claimed the project. */
  claimed(epoch: number): Promise<void> {
    return this.#inTurn(() => this.#catchUp(epoch));
  }

  /** Makes the copy anew from the disk. */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#load());
  }

  /** What another tab wrote must be known first. Whoever sweeps keeps the others from publishing. */
  override async sweep(alone: boolean): Promise<number> {
    await this.reload();
    return super.sweep(alone);
  }

  override close(): void {
    this.#closed = true;
    this.importLocks.releaseAll();
    this.#image.close();
  }

  /** One after the other, so that what a transaction changed is known and written before the next one begins. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(() => {
      if (this.#closed) throw closedVault(this.projectId);
      return work();
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Between two claims of one store nobody else wrote, and nobody is at work on what was left running. */
  async #catchUp(epoch: number): Promise<void> {
    if (epoch === this.#epoch) return;
    if (this.#epoch === null || epoch !== this.#epoch + 1) await this.#load();
    this.#epoch = epoch;
    const { runs } = this.core;
    const all = await super.read('the runs', [runs], () => runs.toArray());
    if (!all.some((run) => isActive(run.status))) return;
    await this.#writeThrough(
      'the interrupted runs',
      [runs],
      () => runs.filter((run) => isActive(run.status)).modify({ status: 'interrupted' }),
      epoch,
    );
  }

  async #writeThrough<T>(
    what: string,
    tables: Table[],
    body: () => PromiseLike<T>,
    epoch: number | null,
  ): Promise<T> {
    this.#image.takeChanges();
    const result = await super.write(what, tables, body);
    try {
      await this.#persist(what, epoch);
    } catch (error) {
      await this.#load();
      throw error;
    }
    return result;
  }

  /** What the last transaction changed, sealed, in one strict transaction of the writer with this claim. */
  async #persist(what: string, epoch: number | null): Promise<void> {
    const puts: SealedRow[] = [];
    const deletions: [Id, string][] = [];
    for (const { table, key } of this.#image.takeChanges()) {
      const row: unknown = await this.core.table(table).get(key);
      if (row === undefined) {
        deletions.push([this.projectId, await rowKey(this.#keys, table, key)]);
      } else {
        puts.push(await sealRow(this.#keys, table, key, row));
      }
    }
    const { context } = this.#outside;
    const { core } = context;
    await context.transact(what, [core.sealed, core.writers, core.vaults], async () => {
      if (epoch !== null) await assertEpoch(core, this.projectId, epoch);
      // Erased in another tab: nothing of it may come back.
      if ((await core.vaults.get(this.projectId)) === undefined) throw closedVault(this.projectId);
      await core.sealed.bulkPut(puts);
      await core.sealed.bulkDelete(deletions);
    });
    for (const { key } of puts) this.damage.healed(key);
    this.#spare();
  }

  #spare(): void {
    this.sparesAll = this.damage.size > 0;
    this.chunks.sparesAll = this.sparesAll;
  }

  async #load(): Promise<void> {
    const { projectId } = this;
    const { core } = this.#outside.context;
    const { rows: sealed, unreadable } = await readRows(core, projectId);
    const bad = [...unreadable];
    const rows: OpenedRow[] = [];
    await Promise.all(
      sealed.map(async (row) => {
        try {
          rows.push(await openRow(this.#keys, row));
        } catch (error) {
          if (!isTampered(error)) throw error;
          bad.push(row.key);
        }
      }),
    );
    await this.#fill(this.core, rows);
    await this.damage.found(bad, this.core);
    const vault = await guarded('the lock', () => core.vaults.get(projectId));
    if (vault) await standIn(this.core, this.damage, vault);
    this.#spare();
    this.#image.takeChanges();
    this.#epoch = null;
    const imports = await this.core.imports.toCollection().primaryKeys();
    await this.chunks.recall(await namedChunks(this.core), new Set(imports));
  }

  async #fill(core: CoreDatabase, rows: readonly OpenedRow[]): Promise<void> {
    const tables = SEALED_TABLES.map((name) => core.table(name));
    await core.transaction('rw', tables, async () => {
      for (const table of tables) {
        await table.clear();
        await table.bulkPut(rows.filter((one) => one.table === table.name).map(({ row }) => row));
      }
    });
  }
}
