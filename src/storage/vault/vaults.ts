/** The vaults of this browser: which are there, which are open in this tab, and who holds what. */
import { changesChannel } from '../../protocol/tabs';
import type { StoreChange } from '../../protocol/tabs';
import type { ChunkRef, Id } from '../../protocol/entities';
import type { VaultInfo, VaultRow } from '../../protocol/vault';
import type { StoreContext } from '../context';
import { guarded } from '../errors';
import { scopedMethods } from '../scoped';
import type { ScopedMethods } from '../scoped';
import type { VaultContext } from './context';
import { closedVault } from './errors';
import type { VaultKeys } from './keys';
import type { Cost } from './passphrase';
import { placesOf } from './places';
import { readRows } from './reading';

export interface OpenVault {
  readonly context: VaultContext;
  readonly methods: ScopedMethods;
}

export class Vaults {
  readonly outside: StoreContext;
  readonly #partBytes: number | undefined;
  /** Of a guess at a passphrase that is new. */
  readonly cost: Cost | undefined;
  readonly #open = new Map<Id, OpenVault>();
  readonly #channel: BroadcastChannel;
  /** Where imports under way go, and where those went that have ended: their last chunks may still be on the way. */
  readonly #imports = new Map<Id, Id>();

  constructor(outside: StoreContext, partBytes?: number, cost?: Cost) {
    this.outside = outside;
    this.#partBytes = partBytes;
    this.cost = cost;
    this.#channel = new BroadcastChannel(changesChannel(outside.name));
    this.#channel.onmessage = ({ data }: MessageEvent<StoreChange>) => {
      if (data.type === 'written') void this.#refresh(data.projectId);
      if (data.type === 'erased') this.closeAll();
    };
  }

  get opened(): readonly OpenVault[] {
    return [...this.#open.values()];
  }

  get(projectId: Id): OpenVault | undefined {
    return this.#open.get(projectId);
  }

  /** `vault/closed` where it is not open. */
  opening(projectId: Id): OpenVault {
    const vault = this.#open.get(projectId);
    if (!vault) throw closedVault(projectId);
    return vault;
  }

  /** Decrypts it into memory, for this one caller until `admit`. */
  async enter(keys: VaultKeys): Promise<OpenVault> {
    const { projectId } = keys;
    const [{ createImage }, { VaultContext }] = await Promise.all([
      import('./image'),
      import('./context'),
    ]);
    const image = await createImage(`vault-${projectId}`);
    const context = new VaultContext(
      {
        context: this.outside,
        tell: (change) => this.#channel.postMessage(change),
        partBytes: this.#partBytes,
      },
      keys,
      image,
    );
    try {
      await context.reload();
    } catch (error) {
      context.close();
      throw error;
    }
    return { context, methods: scopedMethods(context) };
  }

  /** From here on calls about its project go to it. */
  admit(vault: OpenVault): void {
    const { projectId } = vault.context;
    this.leave(projectId);
    this.#open.set(projectId, vault);
  }

  /** Forgets the key and all that was decrypted. */
  leave(projectId: Id): void {
    const vault = this.#open.get(projectId);
    if (!vault) return;
    this.#open.delete(projectId);
    vault.context.close();
  }

  closeAll(): void {
    for (const projectId of [...this.#open.keys()]) this.leave(projectId);
  }

  close(): void {
    this.closeAll();
    this.#channel.close();
  }

  bindImport(importId: Id, projectId: Id): void {
    this.#imports.set(importId, projectId);
  }

  /** The vault that an import goes into; undefined for one that goes into the open. */
  ofImport(importId: Id | undefined): OpenVault | undefined {
    const projectId = importId === undefined ? undefined : this.#imports.get(importId);
    return projectId === undefined ? undefined : this.opening(projectId);
  }

  /** The open vault that has the record; `vault/tampered` where one has it damaged. */
  async holding(
    table: 'runs' | 'models' | 'evaluations' | 'datasets' | 'imports',
    id: Id,
  ): Promise<OpenVault | undefined> {
    for (const vault of this.opened) {
      const { context } = vault;
      const row = await context.read('a record', [context.core[table]], () =>
        context.core.table(table).get(id),
      );
      if (row !== undefined) return vault;
    }
    for (const { context } of this.opened) await context.damage.refuse(table, id);
    return undefined;
  }

  async ofChunk(ref: ChunkRef): Promise<OpenVault | undefined> {
    for (const vault of this.opened) if (await vault.context.chunks.has(ref)) return vault;
    const absent = (await this.outside.chunks.missing([ref])).length > 0;
    // It says which piece of the locked project it is, and how it is damaged.
    return absent ? this.opened.find(({ context }) => context.chunks.lacks(ref)) : undefined;
  }

  async row(projectId: Id): Promise<VaultRow | undefined> {
    return (await this.rows()).find((row) => row.projectId === projectId);
  }

  async rows(): Promise<readonly VaultRow[]> {
    const { vaults, projects } = this.outside.core;
    return this.outside.read('the locks', [vaults, projects], async () => {
      const rows = await vaults.toArray();
      const open = await projects.bulkGet(rows.map((row) => row.projectId));
      // Where the open form is still there the lock is not yet, or no longer, the truth.
      const locked = rows.filter((_, index) => open[index] === undefined);
      return locked.sort((a, b) => b.createdAt - a.createdAt);
    });
  }

  async info({ projectId, label, createdAt, idleMinutes }: VaultRow): Promise<VaultInfo> {
    const vault = this.#open.get(projectId);
    const bytes = await this.#bytes(projectId);
    const empty = vault ? (await vault.context.core.projects.count()) === 0 : null;
    const damaged = vault?.context.damagedRecords ?? [];
    const open = vault !== undefined;
    return { projectId, label, createdAt, idleMinutes, bytes, open, empty, damaged };
  }

  async #bytes(projectId: Id): Promise<number> {
    const { core, cache } = this.outside;
    let bytes = 0;
    await guarded('the size of a locked project', async () => {
      const { rows } = await readRows(core, projectId);
      for (const row of rows) bytes += row.bytes.byteLength;
      const own = cache.chunkInfo.where('storageKey').startsWith(placesOf(projectId));
      await own.each((info) => (bytes += info.bytes));
    });
    return bytes;
  }

  async #refresh(projectId: Id): Promise<void> {
    const vault = this.#open.get(projectId);
    if (!vault) return;
    try {
      if ((await this.row(projectId)) === undefined) this.leave(projectId);
      else await vault.context.reload();
    } catch (error) {
      if (this.#open.get(projectId) !== vault) return;
      // What another tab left cannot be read: better a closed door than a stale picture.
      console.warn('A locked project was closed, because it could not be read anew.', error);
      this.leave(projectId);
    }
  }
}
