/**
 * The page's side of working offline: registers the service worker, asks it to save the build, and tells
 * listeners the truth about it. Nothing here runs in development, where there is no service worker.
 */
import type { OfflineCommand, OfflineMessage } from '../protocol/offline';

export type OfflineStatus =
  | { readonly state: 'unsupported' | 'starting' }
  | { readonly state: 'saving'; readonly saved: number; readonly total: number }
  | { readonly state: 'ready'; readonly total: number }
  | { readonly state: 'failed'; readonly message: string };

type Listener = (status: OfflineStatus) => void;

let status: OfflineStatus = { state: 'starting' };
let waiting: ServiceWorker | null = null;
/** The person of this tab asked for the newer version. */
let wanted = false;
const listeners = new Set<Listener>();
const updateListeners = new Set<() => void>();

/** Calls `listener` now and at every change; returns the way to stop. */
export function watchOffline(listener: Listener): () => void {
  listeners.add(listener);
  listener(status);
  return () => listeners.delete(listener);
}

/** Calls `listener` when a newer version of the studio waits to be used. */
export function watchUpdate(listener: () => void): () => void {
  updateListeners.add(listener);
  if (waiting) listener();
  return () => updateListeners.delete(listener);
}

/** Lets the waiting version take over and reloads into it; where it has taken over already, reloads. */
export function useUpdate(): void {
  wanted = true;
  if (waiting?.state === 'installed') {
    waiting.postMessage({ type: 'take-over' } satisfies OfflineCommand);
  } else location.reload();
}

/**
 * Registers the service worker. On a host that cannot set headers the very first load has no isolation (threads);
 * the page then reloads once, as soon as the service worker can supply it, if nobody has touched it yet.
 */
export async function startOffline(): Promise<void> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) {
    set({ state: 'unsupported' });
    return;
  }
  const container = navigator.serviceWorker;
  let hadController = container.controller !== null;
  const untouched = watchUntouched();
  container.addEventListener('message', (event: MessageEvent<OfflineMessage>) =>
    receive(event.data),
  );
  container.addEventListener('controllerchange', () => {
    // Another tab, or the browser, may bring a newer version in at any moment: this page goes on with its own files,
    // which the service worker keeps for it, until the person here asks.
    if (wanted || (!hadController && !crossOriginIsolated && untouched())) location.reload();
    else if (hadController) offer(container.controller);
    else askToSave(container.controller);
    hadController = true;
  });
  try {
    const registration = await container.register('./offline.sw.js', { scope: './' });
    watchForUpdates(registration, container);
    await container.ready;
    askToSave(container.controller);
  } catch (error) {
    set({ state: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
}

function askToSave(worker: ServiceWorker | null): void {
  const entry = document.querySelector<HTMLScriptElement>('script[type="module"][src]')?.src ?? '';
  worker?.postMessage({ type: 'report', entry } satisfies OfflineCommand);
  worker?.postMessage({ type: 'save' } satisfies OfflineCommand);
}

function receive(message: OfflineMessage): void {
  if (message.type === 'failed') set({ state: 'failed', message: message.message });
  else if (message.saved === message.total) set({ state: 'ready', total: message.total });
  else set({ state: 'saving', saved: message.saved, total: message.total });
}

function watchForUpdates(
  registration: ServiceWorkerRegistration,
  container: ServiceWorkerContainer,
): void {
  const offerIfNewer = (worker: ServiceWorker | null) => {
    if (container.controller !== null) offer(worker);
  };
  offerIfNewer(registration.waiting);
  registration.addEventListener('updatefound', () => {
    const installing = registration.installing;
    installing?.addEventListener('statechange', () => {
      if (installing.state === 'installed') offerIfNewer(installing);
    });
  });
}

function offer(worker: ServiceWorker | null): void {
  if (!worker) return;
  waiting = worker;
  for (const listener of updateListeners) listener();
}

/** Whether nobody has pressed a key or a button since the call. */
function watchUntouched(): () => boolean {
  let touched = false;
  for (const type of ['pointerdown', 'keydown', 'drop']) {
    addEventListener(type, () => (touched = true), { once: true, capture: true });
  }
  return () => !touched;
}

function set(next: OfflineStatus): void {
  status = next;
  for (const listener of listeners) listener(status);
}
