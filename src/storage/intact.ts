/** Whether a dataset's description is the one that was written: its id is the hash of it. */
import { AppError } from '../core/errors';
import type { DatasetVersion } from '../protocol/entities';
import { hashRecord } from './record-hash';

/** One without its rows keeps the id of the whole, so nothing can be said of it. */
export async function isIntact({ id, manifest, rowsLeftOut }: DatasetVersion): Promise<boolean> {
  return rowsLeftOut === true || (await hashRecord(manifest)) === id;
}

export function altered({ id, manifest }: DatasetVersion): AppError {
  return new AppError(
    'store/corrupt',
    `The description of the dataset “${manifest.name}” is not what was written: the browser’s file of it is damaged. Import the same file again, or open a saved project file.`,
    { id },
  );
}
