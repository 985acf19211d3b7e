/**
 * The store as one object of plain functions: opening with recovery, and the parts put together. The worker
 * that exposes it adds nothing but the wire. Several tabs may each have one on the same databases.
 */
import { AppError } from '../core/errors';
import type { StoreApi, StoreStatus } from '../protocol/api';
import type { Timestamp } from '../protocol/entities';
import { lazyFileMethods } from './backup/lazy';
import { checkpointMethods } from './checkpoints';
import { StoreContext } from './context';
import { datasetMethods } from './datasets';
import { eraseEverything, purgeExpired } from './deletion';
import { guarded } from './errors';
import { evaluationMethods } from './evaluations';
import { featureMethods } from './feature-cache';
import { finishMethods } from './finish-run';
import { expireImports, importMethods, interruptedAtStart } from './imports';
import type { Release } from './locks';
import { holdLock } from './locks';
import { modelMethods } from './models';
import { pretrainedMethods } from './pretrained';
import { projectMethods } from './projects';
import { interruptAbandoned, listInterrupted, runMethods } from './runs';
import type { StoreMiddleware } from './schema';
import { SCHEMA_VERSION, createCacheDatabase, createCoreDatabase, versionOnDisk } from './schema';
import { tabsMethods } from './tabs';
import { verifyStore } from './verify';

export interface StoreOptions {
  /** Prefix of the databases' and locks' names. */
  readonly name?: string;
  readonly now?: () => Timestamp;
  /** Room for features of frozen bodies. */
  readonly featureBytes?: number;
  /** What is larger than this lies in parts. */
  readonly partBytes?: number;
  /** Sits between Dexie and IndexedDB; fault tests use it. */
  readonly middleware?: StoreMiddleware;
}

/** `connect` is the worker's business: it needs the wire. */
export interface Store extends Omit<StoreApi, 'connect'> {
  /** Lets go of databases and locks, as the end of the tab would. */
  close(): void;
}

export function createStoreApi(options: StoreOptions = {}): Store {
  const { name = 'terrarium', now = Date.now, middleware } = options;
  const core = createCoreDatabase(name, middleware);
  const cache = createCacheDatabase(name, middleware);
  const context = new StoreContext(name, core, cache, now, options.partBytes);
  let opening: Promise<number> | null = null;
  let releasePresence: Release | null = null;

  /** Returns the bytes of unfinished imports that were rolled back. */
  async function openDatabases(): Promise<number> {
    await openOrExplain();
    context.readOnly = [core, cache].some((database) => versionOnDisk(database) > SCHEMA_VERSION);
    let rolledBack = 0;
    if (!context.readOnly) {
      await context.tidy(interruptAbandoned(context));
      // A full disk must not keep anybody out: reading and exporting still work.
      await context.tidy(recover().then((bytes) => (rolledBack = bytes)));
    }
    releasePresence = await holdLock(presence, { mode: 'shared' });
    return rolledBack;
  }

  const presence = `${name}-open`;

  async function openOrExplain(): Promise<void> {
    try {
      await core.open();
      await cache.open();
    } catch (thrown) {
      if (thrown instanceof AppError) throw thrown;
      throw new AppError(
        'store/open-failed',
        `The browser's storage does not open: ${thrown instanceof Error ? thrown.message : String(thrown)}. Free some disk space, close other tabs of Terrarium, and reload. In a private window storage may be forbidden.`,
        { name },
        thrown,
      );
    }
  }

  /** With no other tab there is no write in progress, so all that no manifest names is left over. */
  async function recover(): Promise<number> {
    const release = await holdLock(presence, { mode: 'exclusive', ifAvailable: true });
    if (release === null) return 0;
    try {
      return await context.whileNotCollecting('exclusive', async () => {
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
      const rolledBack = await opening;
      const interrupted = await listInterrupted(context);
      const interruptedImports = await interruptedAtStart(context);
      const { readOnly } = context;
      return {
        version: versionOnDisk(core),
        interrupted,
        interruptedImports,
        readOnly,
        rolledBack,
      };
    } catch (error) {
      // So that the person can try again after making room.
      opening = null;
      throw error;
    }
  }

  return {
    open,
    async putChunk(bytes, importId) {
      context.assertWritable();
      return context.keepBytes(bytes, importId);
    },
    getChunk: (ref) => context.chunks.get(ref),
    async discardChunks(refs, importId) {
      context.assertWritable();
      await context.discard(refs, importId);
    },
    ...importMethods(context),
    ...datasetMethods(context),
    ...projectMethods(context),
    ...tabsMethods(context),
    ...runMethods(context),
    ...finishMethods(context),
    ...checkpointMethods(context),
    ...modelMethods(context),
    ...pretrainedMethods(context),
    ...featureMethods(context, options.featureBytes),
    ...evaluationMethods(context),
    ...lazyFileMethods(context),

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
      return context.whileNotCollecting('exclusive', () => context.sweep(false));
    },
    verify: () => verifyStore(context),
    eraseEverything: () => eraseEverything(context),

    close() {
      core.close();
      cache.close();
      context.close();
      releasePresence?.();
      releasePresence = null;
      opening = null;
    },
  };
}
