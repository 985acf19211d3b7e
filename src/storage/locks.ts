/**
 * Web Locks of the store. The browser frees a tab's locks when the tab dies, whatever the way, so "is somebody
 * still doing this?" has an answer that no crash can falsify.
 */

export type Release = () => void;

export interface Lock {
  /** Resolves when the lock is free for the next one that asks. */
  release(): Promise<void>;
}

/** Takes the lock and keeps it until released; null when `ifAvailable` is asked and somebody else has it. */
export async function holdLock(name: string, options: LockOptions = {}): Promise<Release | null> {
  const lock = await takeLock(name, options);
  return lock && (() => void lock.release());
}

/** The same. `onStolen` is called when another takes it by `steal`; a frozen tab hears that only when it wakes. */
export function takeLock(
  name: string,
  options: LockOptions = {},
  onStolen: () => void = () => undefined,
): Promise<Lock | null> {
  let granted = false;
  return new Promise((resolve, reject) => {
    const over = navigator.locks
      .request(name, options, (lock) => {
        if (lock === null) {
          resolve(null);
          return undefined;
        }
        granted = true;
        return new Promise<void>((free) => {
          const release = (): Promise<void> => {
            free();
            return over;
          };
          resolve({ release });
        });
      })
      .catch((error: unknown) => {
        if (granted) onStolen();
        else reject(error instanceof Error ? error : new Error(String(error)));
      });
  });
}

/**
 * Resolves when every theft so far has been told to `onStolen`: answers and thefts come over one pipe, in order.
 */
export async function theftsHeard(): Promise<void> {
  await navigator.locks.query();
}
