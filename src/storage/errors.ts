/**
 * What IndexedDB and Dexie throw, in the project's one error voice. A quota error can hide: the transaction
 * aborts, the request's own error is null, and the reason lies one `inner` deeper.
 */
import { AppError } from '../core/errors';

interface Nested {
  readonly name?: unknown;
  readonly inner?: unknown;
  readonly cause?: unknown;
}

/** Runs a database operation; `what` names the thing it saves or reads, for the message. */
export async function guarded<T>(what: string, operation: () => PromiseLike<T>): Promise<T> {
  try {
    return await operation();
  } catch (thrown) {
    throw await translate(thrown, what);
  }
}

async function translate(thrown: unknown, what: string): Promise<AppError> {
  const chain = causes(thrown);
  const own = chain.find((error) => error instanceof AppError);
  if (own) return own;
  const names = chain.map((error) => (error as Nested).name);
  if (names.includes('QuotaExceededError')) return quota(what, thrown);
  if (names.includes('DatabaseClosedError') || names.includes('InvalidStateError')) {
    return new AppError(
      'store/closed',
      `The storage was closed when asked for ${what}: another tab updated or erased it, or the browser took it away. Reload this page.`,
      {},
      thrown,
    );
  }
  if (names.includes('AbortError') && (await nearlyFull())) return quota(what, thrown);
  return new AppError(
    'store/failed',
    `The browser's storage refused ${what}: ${messageOf(thrown)}. Try again; if it happens once more, save the project as a file and reload.`,
    { names: names.map(String) },
    thrown,
  );
}

/** The error, what caused it, and so on. */
export function causes(thrown: unknown): unknown[] {
  const chain: unknown[] = [];
  let next: unknown = thrown;
  while (next !== undefined && next !== null && chain.length < 6 && !chain.includes(next)) {
    chain.push(next);
    const nested = next as Nested;
    next = nested.inner ?? nested.cause;
  }
  return chain;
}

async function quota(what: string, thrown: unknown): Promise<AppError> {
  const { usage = 0, quota: limit = 0 } = await navigator.storage.estimate();
  return new AppError(
    'store/quota',
    `No room left for ${what}: this browser uses ${megabytes(usage)} of the ${megabytes(limit)} it allows. Erase projects you no longer need, or save them as files first.`,
    { usage, quota: limit },
    thrown,
  );
}

/** Some browsers abort a full transaction without saying why. */
async function nearlyFull(): Promise<boolean> {
  const { usage = 0, quota: limit = 0 } = await navigator.storage.estimate();
  return limit > 0 && usage > limit * 0.98;
}

/** What was read is not what was written. */
export function isDamage(error: unknown): error is AppError {
  return (
    error instanceof AppError && (error.code === 'store/corrupt' || error.code === 'vault/tampered')
  );
}

export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error && thrown.message !== '' ? thrown.message : String(thrown);
}

export function notFound(kind: string, id: string): AppError {
  return new AppError(
    'store/not-found',
    `There is no ${kind} ${id.slice(0, 12)} in this browser. It may have been erased in another tab; reload the page.`,
    { kind, id },
  );
}

/** The record, or `store/not-found`. */
export function found<T>(record: T | undefined, kind: string, id: string): T {
  if (record === undefined) throw notFound(kind, id);
  return record;
}
