/** The store's invariants over all of it: the open part, every opened vault, and of closed ones what can be seen. */
import type { Id } from '../../protocol/entities';
import { verifyStore } from '../verify';
import { SEAL_BYTES } from './envelope';
import { readSealed } from './sealed';
import type { Vaults } from './vaults';

export async function verifyEverything(vaults: Vaults): Promise<readonly string[]> {
  const problems = [...(await verifyStore(vaults.outside))];
  for (const { projectId, label } of await vaults.rows()) {
    const vault = vaults.get(projectId);
    const found = vault ? await verifyStore(vault.context) : await seen(vaults, projectId);
    problems.push(...found.map((problem) => `${label}: ${problem}`));
  }
  return problems;
}

/** Without its key: that nothing is shorter than a seal, and that chunks are as long as they are said to be. */
async function seen({ outside }: Vaults, projectId: Id): Promise<readonly string[]> {
  const { rows, chunks } = await readSealed(outside, projectId);
  const problems = rows
    .filter(({ bytes }) => bytes.byteLength < SEAL_BYTES)
    .map(({ key }) => `The sealed record ${key} is cut short.`);
  for (const { storageKey, bytes } of chunks) {
    const row = await outside.cache.chunks.get(storageKey);
    if (row?.bytes.byteLength !== bytes)
      problems.push(`The sealed chunk ${storageKey} is damaged.`);
  }
  return problems;
}
