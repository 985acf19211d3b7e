/**
 * What the offline chip says: the service worker's own account, and how many requests this page made to other
 * addresses, counted from the browser's record of loaded resources rather than taken on trust.
 */
import { useUpdate, watchOffline, watchUpdate, type OfflineStatus } from '../services/offline';

export class Offline {
  #status = $state.raw<OfflineStatus>({ state: 'starting' });
  #requestsOut = $state(0);
  #refused = $state(0);
  #updateReady = $state(false);

  /** Call once, at boot. */
  connect(): void {
    watchOffline((status) => (this.#status = status));
    watchUpdate(() => (this.#updateReady = true));
    document.addEventListener('securitypolicyviolation', () => (this.#refused += 1));
    if (!('PerformanceObserver' in globalThis)) return;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (leaves(entry.name)) this.#requestsOut += 1;
    }).observe({ type: 'resource', buffered: true });
  }

  get status(): OfflineStatus {
    return this.#status;
  }

  get requestsOut(): number {
    return this.#requestsOut;
  }

  /** Things that the content policy stopped in this page since it opened. */
  get refused(): number {
    return this.#refused;
  }

  /** A newer version waits; `update` reloads into it. */
  get updateReady(): boolean {
    return this.#updateReady;
  }

  update(): void {
    useUpdate();
  }
}

function leaves(address: string): boolean {
  const url = new URL(address, location.href);
  return url.protocol.startsWith('http') && url.origin !== location.origin;
}
