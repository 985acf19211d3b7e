/**
 * Web Locks of the store. The browser frees a tab's locks when the tab dies, whatever the way, so "is somebody
 * still doing this?" has an answer that no crash can falsify.
 */

export type Release = () => void;

/**
 * Takes the lock and keeps it until released; null when `ifAvailable` is asked and somebody else has it. `onStolen`
 * is called when another one takes it by `steal`, which a frozen tab hears only when it wakes.
 */
export function holdLock(
  name: string,
  options: LockOptions = {},
  onStolen: () => void = () => undefined,
): Promise<Release | null> {
  let granted = false;
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, options, (lock) => {
        if (lock === null) {
          resolve(null);
          return undefined;
        }
        granted = true;
        return new Promise<void>((release) => {
          resolve(release);
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
