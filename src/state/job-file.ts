/** A project's settings as a job file and back: what is saved opens again, here or with `npm run job`. */
import { AppError } from '../core/errors';
import { canonicalJson } from '../core/hash';
import type { DatasetVersion, Project, ProjectEdit } from '../protocol/entities';
import { parseJobText } from '../protocol/job';
import { jobOf, projectSettings } from '../services/job-settings';
import { targetsOf } from './goal';

export function jobText(project: Project, dataset: DatasetVersion): string {
  const { starter } = project;
  const data = starter === null ? { file: dataset.manifest.source.name } : { embedded: starter };
  return `${JSON.stringify(jobOf(project, data), null, 2)}\n`;
}

/** The edit that takes a job's settings over; `noTarget` words the refusal of a job made for other columns. */
export function jobEdit(
  text: string,
  project: Project,
  dataset: DatasetVersion,
  noTarget: (target: string) => string,
): ProjectEdit {
  const job = parseJobText(text);
  const target = job.goal?.target ?? project.target;
  if (target !== null && !targetsOf(dataset.manifest).includes(target)) {
    throw new AppError('job/target', noTarget(target), { target });
  }
  const edit: ProjectEdit = {
    ...projectSettings(job, project),
    target,
    task: job.goal?.task ?? project.task,
    gates: job.goal?.gates ?? project.gates,
  };
  // A file may write the same settings in another order; that is no edit.
  const keys = Object.keys(edit) as (keyof ProjectEdit)[];
  const changed = keys.filter((key) => canonicalJson(edit[key]) !== canonicalJson(project[key]));
  return Object.fromEntries(changed.map((key) => [key, edit[key]]));
}
