/**
 * Locked projects in an archive: ciphertext as it lies in the store, which needs no key to be saved or opened, and the
 * passphrase of that day to be read. `sealed/<id>.json` holds the lock and the sealed records; sealed chunks lie among
 * the others, under the hashes of their ciphertext.
 */
import * as v from 'valibot';
import { AppError } from '../../core/errors';
import { sha256Hex } from '../../core/hash';
import type { Id } from '../../protocol/entities';
import type { VaultRow } from '../../protocol/vault';
import type { StoreContext } from '../context';
import { count, figure, hash, id, text } from '../record-parts';
import type { Schema } from '../record-parts';
import { isListed, readSealed, readSealedChunk, restoreSealed } from '../vault/sealed';
import type { LeftOut, Opened, Outgoing } from './container';
import { entryOf } from './entry';
import type { ReadEntry } from './records';
import { checked, damaged, parseJson } from './refusals';

interface SealedFile {
  readonly vault: VaultRow;
  readonly rows: readonly { readonly key: string; readonly bytes: ArrayBuffer }[];
  readonly chunks: readonly {
    readonly storageKey: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

const bytes = v.instance(ArrayBuffer);
const wrapped = { iv: bytes, bytes, sha256: v.optional(hash) };
const vault: Schema<VaultRow> = v.strictObject({
  format: v.literal(1),
  projectId: id,
  createdAt: figure,
  label: text,
  passphrase: v.strictObject({
    algorithm: v.literal('argon2id'),
    salt: bytes,
    memory: count,
    passes: count,
    lanes: count,
    ...wrapped,
  }),
  recovery: v.strictObject(wrapped),
  idleMinutes: figure,
});
const schema: Schema<SealedFile> = v.strictObject({
  vault,
  rows: v.array(v.strictObject({ key: text, bytes })),
  chunks: v.array(v.strictObject({ storageKey: text, bytes: count, sha256: hash })),
});

export const sealedName = (projectId: Id) => `sealed/${projectId}.json`;

export interface SealedPlan {
  readonly label: string;
  readonly bytes: number;
  readonly outgoing: readonly Outgoing[];
  /** What the browser cannot bring. Whether the rest opens, nobody knows without the passphrase. */
  readonly leftOut: readonly LeftOut[];
}

/** Reads every chunk once for its hash: of ciphertext no record says it. */
export async function planSealed(context: StoreContext, projectId: Id): Promise<SealedPlan> {
  const sealed = await readSealed(context, projectId);
  const outgoing: Outgoing[] = [];
  const chunks: SealedFile['chunks'][number][] = [];
  const lost: string[] = [];
  for (const { storageKey } of sealed.chunks) {
    const content = await readSealedChunk(context, storageKey);
    if (content === null) {
      // It went meanwhile, and so did what named it; or its bytes are gone and its entry is not.
      if (await isListed(context, storageKey)) lost.push(storageKey.slice(-64));
      continue;
    }
    const sha256 = await sha256Hex(content);
    const { byteLength } = content;
    chunks.push({ storageKey, bytes: byteLength, sha256 });
    outgoing.push({
      name: `chunks/${sha256}`,
      sha256,
      bytes: byteLength,
      async read() {
        const now = await readSealedChunk(context, storageKey);
        if (now === null || (await sha256Hex(now)) !== sha256) throw changedMeanwhile();
        return new Uint8Array(now);
      },
    });
  }
  const { vault: lock, rows } = sealed;
  const file: SealedFile = { vault: lock, rows, chunks };
  const json = new TextEncoder().encode(JSON.stringify(file, encodeBytes));
  const entry = await entryOf(sealedName(projectId), json);
  return {
    label: lock.label,
    bytes: chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
    outgoing: [entry, ...outgoing],
    leftOut: [
      ...sealed.unreadable.map((key) => leftOut(lock.label, `record ${key.slice(0, 12)}`)),
      ...lost.map((place) => leftOut(lock.label, `piece ${place.slice(0, 12)}`)),
    ],
  };
}

function leftOut(label: string, piece: string): LeftOut {
  return {
    what: `the sealed ${piece} of “${label}”`,
    why: 'it cannot be read from this browser',
  };
}

const CHANGED = 'backup/changed';

function changedMeanwhile(): AppError {
  return new AppError(
    CHANGED,
    'A locked project was changed again and again while it was saved. Let its run end, and save it then.',
  );
}

export function isChanged(error: unknown): boolean {
  return error instanceof AppError && error.code === CHANGED;
}

/** Its records and the hashes of its chunks, in order of their places. */
export async function readSealedFile(read: ReadEntry, projectId: Id): Promise<SealedFile> {
  const name = sealedName(projectId);
  const file = checked(schema, parseJson(await read(name), name, decodeBytes), name);
  if (file.vault.projectId !== projectId) throw damaged(`${name} holds another project`);
  const places = new Set(file.chunks.map(({ storageKey }) => storageKey));
  if (places.size !== file.chunks.length) throw damaged(`${name} names a place twice`);
  return file;
}

/** Under its own lock again; `vault/exists` where it is here. */
export async function importSealed(
  context: StoreContext,
  opened: Opened,
  projectId: Id,
  onRead: (bytes: number) => void,
): Promise<void> {
  const file = await readSealedFile((name) => opened.read(name), projectId);
  const hashes = new Map(file.chunks.map((chunk) => [chunk.storageKey, chunk.sha256]));
  await restoreSealed(context, file, async (storageKey) => {
    const content = await opened.read(`chunks/${hashes.get(storageKey) ?? ''}`);
    onRead(content.length);
    return content.slice().buffer;
  });
}

function encodeBytes(_: string, value: unknown): unknown {
  if (!(value instanceof ArrayBuffer)) return value;
  let letters = '';
  for (const byte of new Uint8Array(value)) letters += String.fromCharCode(byte);
  return { $base64: btoa(letters) };
}

function decodeBytes(_: string, value: unknown): unknown {
  const { $base64 } = Object(value) as { $base64?: unknown };
  if (typeof $base64 !== 'string') return value;
  try {
    return Uint8Array.from(atob($base64), (letter) => letter.charCodeAt(0)).buffer;
  } catch (error) {
    throw damaged('a sealed record is not base64', error);
  }
}
