/**
 * Opening the two databases: within seconds, or with the reason in words that the rescue screen shows. Says whether
 * one of them was made just now although the other has contents, which means that the browser lost it.
 */
import { AppError } from '../core/errors';
import { lostSince } from '../protocol/storage';
import type { StorageLoss, StoreMark, WhyClosed } from '../protocol/storage';
import type { StoreContext } from './context';
import { causes, guarded } from './errors';
import type { CacheDatabase, CoreDatabase } from './schema';

/** How long an old tab may keep a new one waiting without a word. */
const BLOCKED_MS = 5_000;
const LOSS = 'store/loss';

export class Opening {
  readonly #core: CoreDatabase;
  readonly #cache: CacheDatabase;
  readonly #new = { core: false, cache: false };
  #blocked = false;

  constructor(core: CoreDatabase, cache: CacheDatabase, onClosed: (why: WhyClosed) => void) {
    this.#core = core;
    this.#cache = cache;
    core.on('populate', () => {
      this.#new.core = true;
    });
    cache.on('populate', () => {
      this.#new.cache = true;
    });
    let told = false;
    const tell = (why: WhyClosed) => {
      if (!told) onClosed(why);
      told = true;
    };
    for (const database of [core, cache]) {
      database.on('blocked', () => {
        this.#blocked = true;
      });
      database.on('versionchange', ({ newVersion }) =>
        tell(newVersion === null ? 'deleted' : 'newer'),
      );
      // Dexie says this too when it makes way for another version; the reason counts, and comes in the same breath.
      database.on('close', () => setTimeout(() => tell('closed')));
    }
  }

  async open(): Promise<void> {
    this.#blocked = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        if (this.#blocked) reject(blocked());
      }, BLOCKED_MS);
    });
    const opened = this.#core.open().then(() => this.#cache.open());
    try {
      await Promise.race([opened, late]);
    } catch (thrown) {
      throw thrown instanceof AppError ? thrown : openFailed(thrown);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the browser lost: found now, or at an earlier start and not acknowledged yet. */
  async loss(context: StoreContext): Promise<StorageLoss | null> {
    const { settings, datasets, models } = this.#core;
    const known = await context.read('a setting', [settings], () => settings.get(LOSS));
    if (known) return known.value as StorageLoss;
    let kind: StorageLoss['kind'] | null = null;
    if (this.#new.core && (await this.#cache.chunkInfo.count()) > 0) kind = 'records';
    const named = (await datasets.count()) + (await models.count());
    if (this.#new.cache && !this.#new.core && named > 0) kind = 'bytes';
    const before = await context.witness?.read();
    const mark = before ? await markOfStore(context) : null;
    if (before && mark) kind ??= lostSince(before, mark);
    if (kind === null) return null;
    const projects = before ? { projects: before.projects } : {};
    const loss: StorageLoss = { kind, at: context.now(), ...projects };
    await context.write('a setting', [settings], () => settings.put({ key: LOSS, value: loss }));
    return loss;
  }
}

/** Which life of the database this is and what was saved in it, for pages that remember. */
export async function markOfStore(context: StoreContext): Promise<StoreMark | null> {
  const { core, ledger } = context;
  const { settings, projects, vaults } = core;
  if (!ledger) return null;
  const tables = [settings, projects, vaults];
  return guarded('the ledger', () =>
    core.transaction('rw', tables, async () => await ledger.begin()),
  );
}

export async function acknowledgeLoss(context: StoreContext): Promise<void> {
  const { settings } = context.core;
  await context.write('a setting', [settings], () => settings.delete(LOSS));
  context.sparesAll = false;
  const mark = await markOfStore(context);
  if (mark) await context.witness?.begin(mark);
}

function blocked(): AppError {
  return new AppError(
    'store/blocked',
    'Another tab or window still runs an older version of Terrarium and holds the storage. Close it; a run there is kept up to its last checkpoint. Then try again here.',
  );
}

function openFailed(thrown: unknown): AppError {
  const names = causes(thrown).map((error) => String(Object(error).name));
  const reason = names.includes('QuotaExceededError')
    ? 'full'
    : names.includes('SecurityError')
      ? 'forbidden'
      : 'failed';
  const advice = {
    full: 'The disk is full, or this site has no room left on it. Free some disk space and try again.',
    forbidden:
      'The browser forbids storage here, as some do in private windows. Open the studio in an ordinary window.',
    failed:
      'Often this passes: close other tabs of Terrarium, or restart the browser, and try again.',
  }[reason];
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AppError(
    'store/open-failed',
    `The browser’s storage does not open: ${message}. ${advice} Nothing was changed or deleted.`,
    { reason, names },
    thrown,
  );
}
