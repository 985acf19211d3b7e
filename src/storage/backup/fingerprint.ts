/** Whether a project is still what it was when it was saved, told by what changes in its records. */
import { hashJson, sha256Hex } from '../../core/hash';
import type { Id } from '../../protocol/entities';
import type { Bundle } from '../bundle';
import type { StoreContext } from '../context';

/** Not by the curve of a run under way: its end counts. */
export function fingerprint({ project, runs, models, evaluations }: Summarised): Promise<string> {
  return hashJson([
    project.id,
    project.revision,
    runs.map((run) => [run.id, run.name, run.status, run.modelVersionId]),
    models.map((model) => [model.id, model.name, model.stage, model.trashedAt]),
    evaluations.map((row): Id => row.id),
  ]);
}

export type Summarised = Pick<Bundle, 'project' | 'runs' | 'models' | 'evaluations'>;

/** Of the sealed records: what they say nobody knows here. */
export async function lockedFingerprint(
  context: StoreContext,
  projectId: Id,
  label: string,
): Promise<string> {
  const { sealed } = context.core;
  const rows = await context.read('a locked project', [sealed], () =>
    sealed.where({ projectId }).toArray(),
  );
  const hashes = await Promise.all(rows.map(({ bytes }) => sha256Hex(bytes)));
  return hashJson([projectId, label, ...hashes.sort()]);
}
