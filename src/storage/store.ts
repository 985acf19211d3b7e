/**
 * The store as one object of plain functions: opening with recovery, and the parts put together. The worker
 * that exposes it adds nothing but the wire. Several tabs may each have one on the same databases.
 */
import type { StoreApi, StoreStatus } from '../protocol/api';
import type { Timestamp } from '../protocol/entities';
import type { StorageLoss, StoreMark, UnreadableRecord, WhyClosed } from '../protocol/storage';
import { freeBallast } from './ballast';
import { StoreContext } from './context';
import { eraseEverything, eraseProject, purgeExpired } from './deletion';
import { guarded } from './errors';
import { featureMethods } from './feature-cache';
import { expireImports, interruptedAtStart } from './imports';
import type { Release } from './locks';
import { holdLock } from './locks';
import { Opening, acknowledgeLoss, markOfStore } from './opening';
import { pretrainedMethods } from './pretrained';
import { interruptAbandoned, listInterrupted } from './runs';
import type { StoreMiddleware } from './schema';
import { SCHEMA_VERSION, createCacheDatabase, createCoreDatabase, versionOnDisk } from './schema';
import { tabsMethods } from './tabs';
import { scopedMethods } from './scoped';
import { undoHalfLocks } from './vault/half';
import { lazyVaultMethods } from './vault/lazy';
import { routedMethods, routedTabs } from './vault/router';
import type { Cost } from './vault/passphrase';
import { Vaults } from './vault/vaults';
import type { Witness } from './witness';

export interface StoreOptions {
  /** Of locks and channels, and prefix of the databases' names. */
  readonly name?: string;
  readonly now?: () => Timestamp;
  /** Room for features of frozen bodies. */
  readonly featureBytes?: number;
  /** What is larger than this lies in parts. */
  readonly partBytes?: number;
  /** Prefix of the databases' names, where it is another: begun anew beside damaged ones. */
  readonly databases?: string;
  /** Room kept back for a checkpoint on a full disk. */
  readonly ballastBytes?: number;
  /** A database was closed under the store: nothing more can be read or written. */
  readonly onClosed?: (why: WhyClosed) => void;
  /** Tells what the browser lost, where the store runs in a worker. */
  readonly witness?: Witness;
  /** Something was saved: what a page should remember. */
  readonly onSaved?: (mark: StoreMark) => void;
  /** A record was met that cannot be read. */
  readonly onUnreadable?: (record: UnreadableRecord) => void;
  /** Sits between Dexie and IndexedDB; fault tests use it. */
  readonly middleware?: StoreMiddleware;
  /** What a guess at a new passphrase costs; about half a second where absent, never below the floors. */
  readonly passphraseCost?: Cost;
}

/** `connect` is the worker's business: it needs the wire. */
export interface Store extends Omit<StoreApi, 'connect'> {
  /** Lets go of databases and locks, as the end of the tab would. */
  close(): void;
}

interface Found {
  rolledBack: number;
  loss: StorageLoss | null;
  mark: StoreMark | null;
}

export function createStoreApi(options: StoreOptions = {}): Store {
  const { name = 'terrarium', now = Date.now, middleware } = options;
  const { databases = name, onClosed = () => undefined } = options;
  const core = createCoreDatabase(databases, middleware);
  const cache = createCacheDatabase(databases, middleware);
  const databasesOpening = new Opening(core, cache, onClosed);
  const context = new StoreContext(name, core, cache, now, options.partBytes);
  context.ballastBytes = options.ballastBytes ?? 0;
  if (context.ledger && options.onSaved) context.ledger.onCounted = options.onSaved;
  context.witness = options.witness ?? null;
  if (options.onUnreadable) context.unreadable.onFound = options.onUnreadable;
  const vaults = new Vaults(context, options.partBytes, options.passphraseCost);
  const locks = lazyVaultMethods(vaults);
  let opening: ReturnType<typeof openDatabases> | null = null;
  let releasePresence: Release | null = null;

  async function openDatabases(): Promise<Found> {
    await databasesOpening.open();
    context.readOnly = [core, cache].some((database) => versionOnDisk(database) > SCHEMA_VERSION);
    const found: Found = { rolledBack: 0, loss: null, mark: null };
    if (!context.readOnly) {
      await context.tidy(databasesOpening.loss(context).then((loss) => (found.loss = loss)));
      await context.tidy(interruptAbandoned(context));
      context.sparesAll = found.loss !== null && found.loss.kind !== 'bytes';
      // A full disk must not keep anybody out: reading and exporting still work.
      await context.tidy(recover().then((bytes) => (found.rolledBack = bytes)));
      await context.tidy(markOfStore(context).then((mark) => (found.mark = mark)));
    }
    releasePresence = await holdLock(presence, { mode: 'shared' });
    return found;
  }

  const presence = `${name}-open`;

  /** With no other tab there is no write in progress, so all that no manifest names is left over. */
  async function recover(): Promise<number> {
    const release = await holdLock(presence, { mode: 'exclusive', ifAvailable: true });
    if (release === null) return 0;
    try {
      return await context.whileNotCollecting('exclusive', async () => {
        await undoHalfLocks(context);
        const rolledBack = await context.sweep(true);
        await expireImports(context);
        await guarded('the clearing up', () => purgeExpired(context));
        await context.sweep(true);
        return rolledBack;
      });
    } finally {
      release();
    }
  }

  async function open(): Promise<StoreStatus> {
    opening ??= openDatabases();
    try {
      const found = await opening;
      const interrupted = await listInterrupted(context);
      const interruptedImports = await interruptedAtStart(context);
      const { readOnly } = context;
      return {
        version: versionOnDisk(core),
        interrupted,
        interruptedImports,
        readOnly,
        ...found,
      };
    } catch (error) {
      // So that the person can try again after making room.
      opening = null;
      throw error;
    }
  }

  const usage = async () => (await import('./usage')).usageMethods(context);

  return {
    open,
    ...routedMethods(scopedMethods(context), vaults),
    ...routedTabs(tabsMethods(context), vaults),
    ...locks,
    ...pretrainedMethods(context),
    ...featureMethods(context, options.featureBytes),
    async eraseProject(id) {
      if (await vaults.row(id)) return { bytes: await locks.eraseVault(id) };
      return { bytes: await eraseProject(context, id) };
    },

    async getSetting(key) {
      const row = await context.read('a setting', [core.settings], () => core.settings.get(key));
      return row?.value;
    },
    async setSetting(key, value) {
      await context.write('the setting', [core.settings], () => core.settings.put({ key, value }));
    },
    async usage() {
      const { usage = 0, quota = 0 } = await navigator.storage.estimate();
      return { bytes: usage, quota, persisted: await navigator.storage.persisted() };
    },
    async collectGarbage() {
      context.assertWritable();
      return context.whileNotCollecting('exclusive', async () => {
        let bytes = await context.sweep(false);
        for (const vault of vaults.opened) bytes += await vault.context.sweep(false);
        return bytes;
      });
    },
    verify: async () => (await import('./vault/verify')).verifyEverything(vaults),
    // The Storage screen's, which comes with it.
    describeStorage: async () => (await usage()).describeStorage(),
    freeStorage: async (kinds) => (await usage()).freeStorage(kinds),
    salvage: async (onProgress) => (await import('./salvage')).salvage(databases, now, onProgress),
    freeBallast: () => freeBallast(context),
    async acknowledgeLoss() {
      await acknowledgeLoss(context);
      await context.tidy(context.whileNotCollecting('exclusive', () => context.sweep(false)));
    },
    async heal() {
      await freeBallast(context);
      await context.whileNotCollecting('exclusive', () => context.sweep(false));
      return (await import('./vault/verify')).verifyEverything(vaults);
    },
    async eraseEverything() {
      vaults.closeAll();
      await eraseEverything(context);
    },

    close() {
      vaults.close();
      core.close();
      cache.close();
      context.close();
      releasePresence?.();
      releasePresence = null;
      opening = null;
    },
  };
}
