/**
 * Counts what is saved, in the very transactions that save it, and tells the pages. A page that remembers a higher
 * count than the databases have at a later start knows that the browser went back to an older state of its files.
 */
import type { Table } from 'dexie';
import type { StoreMark } from '../protocol/storage';
import type { CoreDatabase } from './schema';

const LEDGER = 'store/ledger';
/** Where the incarnation stood before there was a ledger. */
const INCARNATION = 'store/incarnation';

/** Lies in one row, so that an erasure of everything keeps the count and the incarnation. */
interface LedgerRow {
  readonly incarnation: string;
  readonly writes: number;
  readonly open: number;
  readonly locked: number;
}

export class Ledger {
  readonly #core: CoreDatabase;
  onCounted: (mark: StoreMark) => void = () => undefined;

  constructor(core: CoreDatabase) {
    this.#core = core;
  }

  /** Whether losing what is written there would lose somebody's work. Settings alone are none. */
  counts(tables: readonly Table[]): boolean {
    return tables.some(({ name }) => name !== this.#core.settings.name);
  }

  /** Inside a write transaction that has the settings too: does `body`, and counts it. */
  async counted<T>(tables: readonly Table[], body: () => PromiseLike<T>): Promise<[T, StoreMark]> {
    const before = await this.#read();
    const result = await body();
    const has = (table: Table) => tables.some(({ name }) => name === table.name);
    const { projects, vaults, settings } = this.#core;
    const row: LedgerRow = {
      incarnation: before.incarnation,
      writes: before.writes + 1,
      open: has(projects) ? await projects.count() : before.open,
      locked: has(vaults) ? await vaults.count() : before.locked,
    };
    await settings.put({ key: LEDGER, value: row });
    return [result, markOf(row)];
  }

  /** Inside a transaction: the state now; the first call of a database's life names it. */
  async begin(): Promise<StoreMark> {
    const { settings, projects, vaults } = this.#core;
    const row = await this.#read();
    // From an older build, which kept no ledger.
    const open = row.writes > 0 ? row.open : await projects.count();
    const locked = row.writes > 0 ? row.locked : await vaults.count();
    const begun = { ...row, open, locked };
    if (!(await settings.get(LEDGER))) await settings.put({ key: LEDGER, value: begun });
    return markOf(begun);
  }

  async #read(): Promise<LedgerRow> {
    const { settings } = this.#core;
    const known = (await settings.get(LEDGER))?.value as LedgerRow | undefined;
    if (known) return known;
    const before = (await settings.get(INCARNATION))?.value;
    const incarnation = typeof before === 'string' ? before : crypto.randomUUID();
    return { incarnation, writes: 0, open: 0, locked: 0 };
  }
}

function markOf({ incarnation, writes, open, locked }: LedgerRow): StoreMark {
  return { incarnation, writes, projects: open + locked };
}
