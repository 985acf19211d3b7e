/**
 * The lock of a project. A record of it helps nobody without a passphrase or recovery key; what an open one may do
 * is in the store's interface below.
 */
import type { Id, Project, Run, Timestamp } from './entities';

/** How a key is made of a passphrase (RFC 9106); below the floors a record is refused. */
export interface Argon2Parameters {
  readonly algorithm: 'argon2id';
  readonly salt: ArrayBuffer;
  /** KiB; at least 19,456. */
  readonly memory: number;
  /** At least 2. */
  readonly passes: number;
  readonly lanes: number;
}

/** The project's key under another key: AES-256-GCM with the project's id as associated data. */
export interface WrappedKey {
  readonly iv: ArrayBuffer;
  readonly bytes: ArrayBuffer;
  /** SHA-256 of all that this way in needs, so that damage is told from a wrong passphrase; absent in older locks. */
  readonly sha256?: string;
}

export interface VaultRow {
  readonly format: 1;
  readonly projectId: Id;
  readonly createdAt: Timestamp;
  /** What the person calls it in the open, on a closed door. */
  readonly label: string;
  readonly passphrase: Argon2Parameters & WrappedKey;
  /** Under the recovery key, which is random and needs no stretching. */
  readonly recovery: WrappedKey;
  /** Closes by itself after so many idle minutes. */
  readonly idleMinutes: number;
}

/** A locked project from the outside. */
export interface VaultInfo {
  readonly projectId: Id;
  readonly label: string;
  readonly createdAt: Timestamp;
  readonly idleMinutes: number;
  /** Of records and chunks as they lie on the disk. */
  readonly bytes: number;
  /** In this tab. */
  readonly open: boolean;
  /** No project was put into it yet; null while it is closed. */
  readonly empty: boolean | null;
  /** Records that do not open, in words; of a closed one nobody knows. */
  readonly damaged: readonly string[];
}

/** Either way in. */
export type VaultSecret = { readonly passphrase: string } | { readonly recoveryKey: string };

export interface Unlocked {
  /** null where nothing was put into it yet. */
  readonly project: Project | null;
  /** Runs that were going on when it was closed; they can be resumed. */
  readonly interrupted: readonly Run[];
  /** Records that do not open, in words: all others work. */
  readonly damaged: readonly string[];
}

export interface VaultStoreApi {
  listVaults(): Promise<readonly VaultInfo[]>;
  /** A locked project from the start: open, and empty until data is imported `into` it. The recovery key is never shown again. */
  createVault(
    label: string,
    passphrase: string,
  ): Promise<{ readonly projectId: Id; readonly recoveryKey: string }>;
  /**
   * Stores a project anew under a lock and erases the open form; it stays open in this tab. `stillOpen` names data
   * that other projects use too, which therefore also stays in the open.
   */
  lockProject(
    id: Id,
    label: string,
    passphrase: string,
  ): Promise<{ readonly recoveryKey: string; readonly stillOpen: readonly string[] }>;
  /** `vault/wrong-passphrase`, `vault/damaged-lock`, `vault/weak-parameters`, `vault/newer`. */
  unlockVault(projectId: Id, secret: VaultSecret): Promise<Unlocked>;
  /** Forgets its key and everything that was decrypted. */
  closeVault(projectId: Id): Promise<void>;
  /** Wraps the same key anew: chunks and records stay as they are. */
  changePassphrase(projectId: Id, secret: VaultSecret, passphrase: string): Promise<void>;
  /** The former recovery key opens nothing any more. */
  renewRecoveryKey(projectId: Id, passphrase: string): Promise<{ readonly recoveryKey: string }>;
  editVault(
    projectId: Id,
    edit: Partial<Pick<VaultRow, 'label' | 'idleMinutes'>>,
  ): Promise<VaultInfo>;
  /** Stores an opened project in the open again. */
  removeLock(projectId: Id, passphrase: string): Promise<Project>;
  /** Open or closed: nobody needs the passphrase to throw it away. Returns the bytes freed. */
  eraseVault(projectId: Id): Promise<number>;
}
