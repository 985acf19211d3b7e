/** The store's invariants over all of it: the open part, every opened vault, and of closed ones what can be seen. */
import type { Id } from '../../protocol/entities';
import { verifyStore } from '../verify';
import { SEAL_BYTES } from './envelope';
import { readSealed, readSealedChunk } from './sealed';
import type { Vaults } from './vaults';

export async function verifyEverything(vaults: Vaults): Promise<readonly string[]> {
  const problems = [...(await verifyStore(vaults.outside))];
  for (const { projectId, label } of await vaults.rows()) {
    const vault = vaults.get(projectId);
    const found = vault
      ? [...damaged(vault.context.damagedRecords), ...(await verifyStore(vault.context))]
      : await seen(vaults, projectId);
    problems.push(...found.map((problem) => `${label}: ${problem}`));
  }
  return problems;
}

function damaged(records: readonly string[]): readonly string[] {
  return records.map((what) => `The record of ${what} is not what was sealed there.`);
}

/** Without its key: that nothing is shorter than a seal, and that chunks are as long as they are said to be. */
async function seen({ outside }: Vaults, projectId: Id): Promise<readonly string[]> {
  const { rows, unreadable, chunks } = await readSealed(outside, projectId);
  const problems = unreadable.map((key) => `The sealed record ${key.slice(0, 12)} cannot be read.`);
  const short = rows
    .filter(({ bytes }) => bytes.byteLength < SEAL_BYTES)
    .map(({ key }) => `The sealed record ${key.slice(0, 12)} is cut short.`);
  problems.push(...short);
  for (const { storageKey, bytes } of chunks) {
    const content = await readSealedChunk(outside, storageKey);
    if (content?.byteLength !== bytes) problems.push(`The sealed chunk ${storageKey} is damaged.`);
  }
  return problems;
}
