/**
 * What the offline chip says: the service worker's own account, and how many requests the studio made to other
 * addresses, counted from the browser's record of loaded resources rather than taken on trust.
 */
import { watchGlass, type GlassCount } from '../core/glass';
import { useUpdate, watchOffline, watchUpdate, type OfflineStatus } from '../services/offline';

export class Offline {
  #status = $state.raw<OfflineStatus>({ state: 'starting' });
  #glass = $state.raw<GlassCount>({ out: 0, refused: 0 });
  #updateReady = $state(false);

  /** Call once, at boot. */
  connect(): void {
    watchOffline((status) => (this.#status = status));
    watchUpdate(() => (this.#updateReady = true));
    watchGlass((count) => (this.#glass = count));
  }

  get status(): OfflineStatus {
    return this.#status;
  }

  get requestsOut(): number {
    return this.#glass.out;
  }

  /** Things that the content policy stopped, in this page and in its workers, since it opened. */
  get refused(): number {
    return this.#glass.refused;
  }

  /** A newer version waits; `update` reloads into it. */
  get updateReady(): boolean {
    return this.#updateReady;
  }

  update(): void {
    useUpdate();
  }
}
