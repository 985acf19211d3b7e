/**
 * The project's key. It is random and wrapped twice, under the passphrase and under the recovery key, so either can
 * be changed without touching what it seals. Unwrapped for use it is not extractable, and only keys derived from it
 * work: one seals, one makes names. It exists in an extractable form only while it is wrapped.
 */
import { sha256Hex } from '../../core/hash';
import type { Argon2Parameters, VaultRow, VaultSecret, WrappedKey } from '../../protocol/vault';
import { VAULT_FORMAT, associatedData, freshIv, isRefusal, utf8 } from './envelope';
import { damagedLock, newerVault, wrongPassphrase, wrongRecoveryKey } from './errors';
import { checkParameters, keyOfPassphrase } from './passphrase';
import {
  keyOfRecovery,
  randomRecoveryBytes,
  readRecoveryKey,
  writeRecoveryKey,
} from './recovery-key';

/** None of them can be read out. */
export interface VaultKeys {
  readonly projectId: string;
  readonly sealing: CryptoKey;
  readonly naming: CryptoKey;
}

type Way = 'passphrase' | 'recovery';

/** A new lock and its keys. `recoveryKey` is to be shown once. */
export async function createLock(
  about: Pick<VaultRow, 'projectId' | 'label' | 'createdAt' | 'idleMinutes'>,
  passphrase: string,
  parameters: Argon2Parameters,
): Promise<{ readonly row: VaultRow; readonly keys: VaultKeys; readonly recoveryKey: string }> {
  const { projectId } = about;
  const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, [
    'encrypt',
    'decrypt',
  ]);
  const recovery = randomRecoveryBytes();
  const by = await keyOfPassphrase(passphrase, parameters);
  const row: VaultRow = {
    format: VAULT_FORMAT,
    ...about,
    passphrase: await wrap(key, by, projectId, 'passphrase', parameters),
    recovery: await wrap(key, await keyOfRecovery(recovery), projectId, 'recovery', {}),
  };
  const recoveryKey = await writeRecoveryKey(recovery);
  // Once around, so that what is kept has been proved to open again.
  const root = await unwrapBy(by, row, 'passphrase', 'HKDF', false, ['deriveKey']);
  return { row, keys: await derive(projectId, root), recoveryKey };
}

/** `vault/wrong-passphrase`, `vault/weak-parameters`, `vault/newer` and their like where it does not open. */
export async function openLock(row: VaultRow, secret: VaultSecret): Promise<VaultKeys> {
  return derive(row.projectId, await unwrap(row, secret, 'HKDF', false, ['deriveKey']));
}

async function derive(projectId: string, root: CryptoKey): Promise<VaultKeys> {
  const one = (purpose: string, algorithm: AesKeyGenParams | HmacKeyGenParams, use: KeyUsage[]) =>
    crypto.subtle.deriveKey(
      { name: 'HKDF', hash: 'SHA-256', salt: utf8(projectId), info: utf8(`terrarium ${purpose}`) },
      root,
      algorithm,
      false,
      use,
    );
  return {
    projectId,
    sealing: await one('sealing', { name: 'AES-GCM', length: 256 }, ['encrypt', 'decrypt']),
    naming: await one('naming', { name: 'HMAC', hash: 'SHA-256', length: 256 }, ['sign']),
  };
}

/** The same key under another passphrase, with a fresh salt. */
export async function rewrapPassphrase(
  row: VaultRow,
  secret: VaultSecret,
  passphrase: string,
  parameters: Argon2Parameters,
): Promise<VaultRow> {
  const key = await unwrap(row, secret, 'AES-GCM', true, ['encrypt', 'decrypt']);
  const by = await keyOfPassphrase(passphrase, parameters);
  return { ...row, passphrase: await wrap(key, by, row.projectId, 'passphrase', parameters) };
}

/** The same key under another recovery key. */
export async function rewrapRecovery(
  row: VaultRow,
  secret: VaultSecret,
): Promise<{ readonly row: VaultRow; readonly recoveryKey: string }> {
  const key = await unwrap(row, secret, 'AES-GCM', true, ['encrypt', 'decrypt']);
  const bytes = randomRecoveryBytes();
  const recovery = await wrap(key, await keyOfRecovery(bytes), row.projectId, 'recovery', {});
  return { row: { ...row, recovery }, recoveryKey: await writeRecoveryKey(bytes) };
}

/** A name that tells nothing: HMAC-SHA-256 of what the thing really is. */
export async function nameOf(
  keys: VaultKeys,
  kind: 'row' | 'chunk',
  thing: string,
): Promise<string> {
  const signature = await crypto.subtle.sign('HMAC', keys.naming, utf8(`${kind} ${thing}`));
  let hex = '';
  for (const byte of new Uint8Array(signature)) hex += byte.toString(16).padStart(2, '0');
  return hex;
}

/** With what else this way in needs. */
async function wrap<P extends object>(
  key: CryptoKey,
  by: CryptoKey,
  projectId: string,
  way: Way,
  parameters: P,
): Promise<P & WrappedKey> {
  const iv = freshIv();
  const additionalData = associatedData({ projectId, kind: way, key: '' });
  const bytes = await crypto.subtle.wrapKey('raw', key, by, {
    name: 'AES-GCM',
    iv,
    additionalData,
  });
  const wrapped = { ...parameters, iv: iv.buffer, bytes };
  return { ...wrapped, sha256: await hashOf(projectId, way, wrapped) };
}

function hashOf(projectId: string, way: Way, part: object): Promise<string> {
  const written = Object.entries(part)
    .filter(([name]) => name !== 'sha256')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]: [string, unknown]) => [
      name,
      value instanceof ArrayBuffer ? [...new Uint8Array(value)] : value,
    ]);
  return sha256Hex(utf8(JSON.stringify([projectId, way, written])));
}

/** What lies on the disk may be anything; a way in that is not what was written says so before it is tried. */
async function checkWay({ projectId, ...row }: VaultRow, way: Way): Promise<void> {
  const part: Partial<WrappedKey & Argon2Parameters> | undefined = row[way];
  const needed =
    way === 'passphrase' ? (['iv', 'bytes', 'salt'] as const) : (['iv', 'bytes'] as const);
  const whole = needed.every((name) => part?.[name] instanceof ArrayBuffer);
  if (!part || !whole) throw damagedLock(way);
  if (way === 'passphrase') checkParameters(row.passphrase);
  const { sha256 } = part;
  if (sha256 !== undefined && sha256 !== (await hashOf(projectId, way, part))) {
    throw damagedLock(way);
  }
}

async function unwrap(
  row: VaultRow,
  secret: VaultSecret,
  algorithm: 'AES-GCM' | 'HKDF',
  extractable: boolean,
  use: KeyUsage[],
): Promise<CryptoKey> {
  checkFormat(row);
  const way: Way = 'passphrase' in secret ? 'passphrase' : 'recovery';
  await checkWay(row, way);
  const by =
    'passphrase' in secret
      ? await keyOfPassphrase(secret.passphrase, row.passphrase)
      : await keyOfRecovery(await readRecoveryKey(secret.recoveryKey));
  return unwrapBy(by, row, way, algorithm, extractable, use);
}

async function unwrapBy(
  by: CryptoKey,
  row: VaultRow,
  way: Way,
  algorithm: 'AES-GCM' | 'HKDF',
  extractable: boolean,
  use: KeyUsage[],
): Promise<CryptoKey> {
  const { iv, bytes } = row[way];
  const additionalData = associatedData({ projectId: row.projectId, kind: way, key: '' });
  try {
    return await crypto.subtle.unwrapKey(
      'raw',
      bytes,
      by,
      { name: 'AES-GCM', iv, additionalData },
      algorithm,
      extractable,
      use,
    );
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw way === 'passphrase' ? wrongPassphrase() : wrongRecoveryKey();
  }
}

export function checkFormat(row: VaultRow): void {
  // On the disk it may be anything.
  const format: unknown = row.format;
  if (format !== VAULT_FORMAT) throw newerVault(format);
}
