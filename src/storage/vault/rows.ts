/** A record sealed: which table and which record it is stands inside; outside is a name that tells neither. */
import { decodeNumber, encodeNumber } from '../record-hash';
import type { SealedRow } from '../schema';
import { seal, unseal, utf8 } from './envelope';
import { tampered } from './errors';
import type { RowKey, SealedTable } from './image';
import { SEALED_TABLES } from './image';
import { nameOf } from './keys';
import type { VaultKeys } from './keys';

export function rowKey(keys: VaultKeys, table: SealedTable, key: RowKey): Promise<string> {
  return nameOf(keys, 'row', JSON.stringify([table, key]));
}

export async function sealRow(
  keys: VaultKeys,
  table: SealedTable,
  key: RowKey,
  row: unknown,
): Promise<SealedRow> {
  const { projectId } = keys;
  const name = await rowKey(keys, table, key);
  const text = JSON.stringify([table, row], (_, value: unknown) => encodeNumber(value));
  const bytes = await seal(keys.sealing, { projectId, kind: 'row', key: name }, utf8(text));
  return { projectId, key: name, bytes };
}

export async function openRow(
  keys: VaultKeys,
  { key, bytes }: SealedRow,
): Promise<{ readonly table: SealedTable; readonly row: unknown }> {
  const { projectId } = keys;
  const plain = await unseal(keys.sealing, { projectId, kind: 'row', key }, bytes);
  const text = new TextDecoder().decode(plain);
  const [name, row] = JSON.parse(text, (_, value: unknown) => decodeNumber(value)) as unknown[];
  const table = SEALED_TABLES.find((one) => one === name);
  if (table === undefined) throw tampered(`the record ${key.slice(0, 12)}`, { key });
  return { table, row };
}
