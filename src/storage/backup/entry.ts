/** Records as an entry. They wait in a Blob until it is their turn: those of many projects are not held together. */
import { sha256Hex } from '../../core/hash';
import type { Outgoing } from './container';

export async function entryOf(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<Outgoing> {
  const blob = new Blob([bytes]);
  return {
    name,
    sha256: await sha256Hex(bytes),
    bytes: bytes.length,
    read: async () => new Uint8Array(await blob.arrayBuffer()),
  };
}
