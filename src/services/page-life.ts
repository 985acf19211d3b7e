/**
 * What happens to the page as a whole: it is hidden, frozen, put away, and comes back. Nothing here asks what for. In
 * tests without a page all of it is absent.
 */

/** The ways in which a page is left, the last of which may never be told: `hidden` is the one that always is. */
const LEAVING = ['visibilitychange', 'freeze'] as const;

/** Calls `leave` when the page is hidden, frozen or put away; returns what ends that. */
export function onHidden(leave: () => void): () => void {
  if (typeof document === 'undefined') return () => undefined;
  const told = (event: Event): void => {
    if (event.type !== 'visibilitychange' || document.hidden) leave();
  };
  for (const name of LEAVING) document.addEventListener(name, told);
  addEventListener('pagehide', told);
  return () => {
    for (const name of LEAVING) document.removeEventListener(name, told);
    removeEventListener('pagehide', told);
  };
}

export function isHidden(): boolean {
  return typeof document !== 'undefined' && document.hidden;
}

/** Resolves when the page is shown, or after so long; at once where it is. */
export function shown(milliseconds = Infinity): Promise<void> {
  if (!isHidden()) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      if (document.hidden && !late) return;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', done);
      resolve();
    };
    let late = false;
    const timer =
      milliseconds === Infinity
        ? undefined
        : setTimeout(() => {
            late = true;
            done();
          }, milliseconds);
    document.addEventListener('visibilitychange', done);
  });
}

/**
 * Does `work` with the screen kept awake where the browser can. The wake lock is gone whenever the page is hidden and
 * is asked for again when it is back. A hidden page that is busy is frozen on energy saving after some minutes, but
 * not while it holds a Web Lock that somebody waits for (developer.chrome.com, "Freezing on Energy Saver"): so it
 * holds one, and waits for it itself.
 */
export async function keptAwake<T>(name: string, work: () => Promise<T>): Promise<T> {
  const awake = new WakeLock();
  const letGo = holdAwaited(`terrarium-awake-${name}`);
  try {
    await awake.ask();
    return await work();
  } finally {
    letGo();
    await awake.end();
  }
}

class WakeLock {
  #lock: WakeLockSentinel | null = null;
  #ended = false;
  readonly #back = (): void => {
    if (!document.hidden) void this.ask();
  };

  constructor() {
    if (typeof document !== 'undefined') document.addEventListener('visibilitychange', this.#back);
  }

  async ask(): Promise<void> {
    if (!('wakeLock' in navigator) || this.#ended || isHidden()) return;
    if (this.#lock && !this.#lock.released) return;
    try {
      const lock = await navigator.wakeLock.request('screen');
      if (this.#ended) await lock.release();
      else this.#lock = lock;
    } catch (error) {
      // Refused when the battery is low: training goes on without it.
      console.warn('No wake lock:', error);
    }
  }

  async end(): Promise<void> {
    this.#ended = true;
    if (typeof document !== 'undefined') {
      document.removeEventListener('visibilitychange', this.#back);
    }
    await this.#lock?.release();
  }
}

/** Holds a lock for which a second request waits; returns what ends both. */
function holdAwaited(name: string): () => void {
  if (!('locks' in navigator)) return () => undefined;
  const waiter = new AbortController();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const ended = (error: unknown): void => {
    if (!waiter.signal.aborted) console.warn('The lock of a run was lost.', error);
  };
  navigator.locks.request(name, () => held).catch(ended);
  navigator.locks.request(name, { signal: waiter.signal }, () => undefined).catch(ended);
  return () => {
    waiter.abort();
    release();
  };
}
