/** What is in a file, in the words of the export dialog. */
import type { Bundle } from '../bundle';
import { namedPretrained } from '../bundle';
import { megabytes } from '../errors';

export function describeContents(bundle: Bundle): readonly string[] {
  const { runs, models, evaluations } = bundle;
  const lines = ['the goal and all settings of the project'];
  if (runs.length > 0) lines.push(`${counted(runs.length, 'run')}: settings and curves`);
  if (models.length > 0) {
    lines.push(
      `${counted(models.length, 'model')}: weights, column and category names, ranges and averages of numbers`,
    );
  }
  const trashed = models.filter(({ trashedAt }) => trashedAt !== null).length;
  if (trashed > 0) lines.push(`${counted(trashed, 'model')} of them from the trash`);
  if (evaluations.length > 0) {
    const rows = evaluations.some((row) => row.predictions !== null);
    const kept = rows ? 'figures and the prediction of every row' : 'figures';
    lines.push(`${counted(evaluations.length, 'evaluation')}: ${kept}`);
  }
  for (const { name, bytes } of bundle.pretrained) {
    lines.push(`the pretrained model ${name} (${megabytes(bytes)})`);
  }
  const there = new Set(bundle.pretrained.map(({ id }) => id));
  for (const [id, name] of namedPretrained(bundle)) {
    if (!there.has(id)) lines.push(`not the pretrained model ${name}: this browser has it no more`);
  }
  const { datasets } = bundle;
  for (const { manifest, rowsLeftOut } of datasets) {
    if (!rowsLeftOut) lines.push(`all ${manifest.rows} rows of ${manifest.name}`);
  }
  const left = datasets.filter((dataset) => dataset.rowsLeftOut).map((row) => row.manifest.name);
  if (left.length > 0) {
    lines.push(`column names, category names and number ranges of ${left.join(', ')}`);
  }
  if (left.length === datasets.length) lines.push('no rows');
  return lines;
}

/** One line for a project among others. */
export function describeProject({ project, runs, models }: Bundle): string {
  const parts = [counted(runs.length, 'run'), counted(models.length, 'model')];
  const trash = project.trashedAt === null ? '' : ', from the trash';
  return `“${project.name}”: ${parts.join(', ')}${trash}`;
}

export function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}
