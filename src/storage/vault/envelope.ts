/**
 * What is sealed: AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit IV in front. The associated data says what it is
 * and whose, so a sealed thing opens in its own place only: copied to another place or project it is refused.
 */
import { tampered } from './errors';

/** Raised when anything about sealing changes; part of what every seal vouches for. */
export const VAULT_FORMAT = 1;

const IV_BYTES = 12;
const TAG_BYTES = 16;
/** What a sealed thing is longer than the plain one. */
export const SEAL_BYTES = IV_BYTES + TAG_BYTES;

/** Whose it is, what it is, and which of them. */
export interface Identity {
  readonly projectId: string;
  readonly kind: 'row' | 'chunk' | 'passphrase' | 'recovery';
  readonly key: string;
}

export function associatedData({ projectId, kind, key }: Identity): Uint8Array<ArrayBuffer> {
  return utf8(JSON.stringify(['terrarium-vault', VAULT_FORMAT, projectId, kind, key]));
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

export function freshIv(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(IV_BYTES));
}

export async function seal(
  key: CryptoKey,
  identity: Identity,
  plain: BufferSource,
): Promise<ArrayBuffer> {
  const iv = freshIv();
  const additionalData = associatedData(identity);
  const encrypted = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv, additionalData },
    key,
    plain,
  );
  const sealed = new Uint8Array(IV_BYTES + encrypted.byteLength);
  sealed.set(iv);
  sealed.set(new Uint8Array(encrypted), IV_BYTES);
  return sealed.buffer;
}

/** `vault/tampered` where it is not, bit for bit, what was sealed under this identity. */
export async function unseal(
  key: CryptoKey,
  identity: Identity,
  sealed: ArrayBuffer,
  what = identity.kind === 'row' ? `the record ${identity.key.slice(0, 12)}` : 'a chunk of data',
): Promise<ArrayBuffer> {
  if (sealed.byteLength < SEAL_BYTES) throw tampered(what, { ...identity });
  const iv = new Uint8Array(sealed, 0, IV_BYTES);
  const additionalData = associatedData(identity);
  try {
    return await crypto.subtle.decrypt(
      { name: 'AES-GCM', iv, additionalData },
      key,
      new Uint8Array(sealed, IV_BYTES),
    );
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw tampered(what, { ...identity });
  }
}

/** WebCrypto's word for "the tag does not match". */
export function isRefusal(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'OperationError';
}
