/** The lock of a project as a record: how its key is wrapped. Nothing here helps without a passphrase or recovery key. */
import type { Id, Timestamp } from './entities';

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
