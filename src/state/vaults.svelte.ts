/**
 * Locked projects on this page: doors and what may be done with them. A door that nobody went through for a while shuts
 * by itself, in every tab, unless its project trains or takes data in. Nothing is remembered across a reload.
 */
import { AppError } from '../core/errors';
import type { Id, Run } from '../protocol/entities';
import type { VaultInfo, VaultSecret } from '../protocol/vault';
import type { Studio } from './studio';

/** What the page does for it. */
export interface VaultHost {
  trains(projectId: Id): boolean;
  /** It trains, or data is being brought into it: not left alone. */
  busy(projectId: Id): boolean;
  /** Writes what was edited and forgets the project. */
  leave(projectId: Id): Promise<void>;
  /** Which projects can be listed is another. */
  changed(): Promise<void>;
}

/** How often it is looked whether somebody is still there. */
const LOOK_MS = 5_000;
const CHANNEL = 'terrarium-vaults';
const MINUTE = 60_000;
const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'] as const;

export class Vaults {
  readonly #studio: () => Promise<Studio>;
  readonly #host: VaultHost;
  readonly #now: () => number;
  #list = $state.raw<readonly VaultInfo[] | null>(null);
  #error = $state.raw<unknown>(null);
  #channel: BroadcastChannel | null = null;
  #lastSign = 0;
  #timer: ReturnType<typeof setInterval> | null = null;

  constructor(studio: () => Promise<Studio>, host: VaultHost, now = Date.now) {
    this.#studio = studio;
    this.#host = host;
    this.#now = now;
  }

  /** Null until loaded. */
  get list(): readonly VaultInfo[] | null {
    return this.#list;
  }

  get error(): unknown {
    return this.#error;
  }

  of(projectId: Id): VaultInfo | null {
    return this.#list?.find((vault) => vault.projectId === projectId) ?? null;
  }

  /** Its project is locked at other times, and open now. */
  isOpen(projectId: Id): boolean {
    return this.of(projectId)?.open === true;
  }

  async load(): Promise<void> {
    try {
      const { store } = await this.#studio();
      this.#list = await store.listVaults();
      this.#error = null;
      this.#watch();
    } catch (error) {
      this.#error = error;
    }
  }

  /** An open and empty lock. The recovery key is told this once. */
  async create(
    label: string,
    passphrase: string,
  ): Promise<{ readonly projectId: Id; readonly recoveryKey: string }> {
    const { store } = await this.#studio();
    const made = await store.createVault(label, passphrase);
    await this.load();
    return made;
  }

  /** Puts a project of this browser under a lock; it stays open here. */
  async lockProject(
    id: Id,
    label: string,
    passphrase: string,
  ): Promise<{ readonly recoveryKey: string; readonly stillOpen: readonly string[] }> {
    const { store } = await this.#studio();
    const made = await store.lockProject(id, label, passphrase);
    await this.#refresh(id);
    return made;
  }

  /** Whether a project is in it, and its runs that can be resumed. */
  async unlock(
    projectId: Id,
    secret: VaultSecret,
  ): Promise<{ readonly empty: boolean; readonly interrupted: readonly Run[] }> {
    const { store } = await this.#studio();
    const { project, interrupted } = await store.unlockVault(projectId, secret);
    this.#lastSign = this.#now();
    await this.#refresh(projectId);
    return { empty: project === null, interrupted };
  }

  /** Shuts the door here and in every other tab; a run that goes on is ended with a checkpoint. */
  async lock(projectId: Id): Promise<void> {
    await this.#shut(projectId);
    this.#channel?.postMessage({ shut: projectId });
  }

  async changePassphrase(projectId: Id, secret: VaultSecret, passphrase: string): Promise<void> {
    const { store } = await this.#studio();
    await store.changePassphrase(projectId, secret, passphrase);
  }

  /** The former one opens nothing any more. */
  async renewRecoveryKey(projectId: Id, passphrase: string): Promise<string> {
    const { store } = await this.#studio();
    return (await store.renewRecoveryKey(projectId, passphrase)).recoveryKey;
  }

  async setIdle(projectId: Id, idleMinutes: number): Promise<void> {
    const { store } = await this.#studio();
    await store.editVault(projectId, { idleMinutes });
    await this.load();
  }

  async rename(projectId: Id, label: string): Promise<void> {
    const { store } = await this.#studio();
    await store.editVault(projectId, { label });
    await this.load();
  }

  async removeLock(projectId: Id, passphrase: string): Promise<void> {
    const { store } = await this.#studio();
    await store.removeLock(projectId, passphrase);
    await this.#refresh(projectId);
  }

  /** Open or closed, for good. */
  async erase(projectId: Id): Promise<void> {
    const { store } = await this.#studio();
    await this.#host.leave(projectId);
    await store.eraseVault(projectId);
    await this.#refresh(projectId);
  }

  async #shut(projectId: Id): Promise<void> {
    const studio = await this.#studio();
    if (this.#host.trains(projectId)) await studio.leaveRun(projectId, true);
    await this.#host.leave(projectId);
    await studio.lockVault(projectId);
    await this.load();
    await this.#host.changed();
  }

  async #refresh(projectId: Id): Promise<void> {
    await this.load();
    this.#channel?.postMessage({ changed: projectId });
    await this.#host.changed();
  }

  /** Once there is a lock: looks whether somebody is there, and hears of doors that were shut elsewhere. */
  #watch(): void {
    if (this.#timer !== null || (this.#list ?? []).length === 0) return;
    this.#lastSign = this.#now();
    const sign = (): void => {
      this.#lastSign = this.#now();
    };
    for (const name of SIGNS) addEventListener(name, sign, { passive: true, capture: true });
    this.#channel = new BroadcastChannel(CHANNEL);
    this.#channel.onmessage = ({ data }: MessageEvent<{ shut?: Id }>) => {
      const work =
        data.shut !== undefined && this.isOpen(data.shut) ? this.#shut(data.shut) : this.load();
      void work.then(() => this.#host.changed()).catch((error: unknown) => (this.#error = error));
    };
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    // A computer that wakes tells the page before the timer does.
    addEventListener('visibilitychange', () => this.look());
  }

  /** Shuts what nobody has touched for as long as it allows. */
  look(): void {
    const idle = this.#now() - this.#lastSign;
    for (const { projectId, open, idleMinutes } of this.#list ?? []) {
      if (!open || idle < idleMinutes * MINUTE || this.#host.busy(projectId)) continue;
      this.#shut(projectId).catch((error: unknown) => (this.#error = error));
    }
  }
}

export function closedDoor(projectId: Id): AppError {
  return new AppError('vault/closed', 'This project is locked.', { projectId });
}

export function isClosedDoor(error: unknown): boolean {
  return error instanceof AppError && error.code === 'vault/closed';
}
