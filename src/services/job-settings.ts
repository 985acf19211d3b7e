/** From a job file to a project's settings and back: the screens export and open the files that `npm run job` runs. */
import type {
  BlueprintConfig,
  OptimiserConfig,
  Project,
  TrainingConfig,
} from '../protocol/entities';
import { parseJob } from '../protocol/job';
import type { Job, JobBlueprint, JobTraining } from '../protocol/job';
import { BLUEPRINTS, OPTIMISERS } from './defaults';

/** The job that repeats what a project does now, for the screens to export. */
export function jobOf(project: Project, data: Job['data']): Job {
  const { name, target, task, gates, recipe, split, blueprint, training, seed, executor } = project;
  // Through JSON, so that the job is plain, and through the schema, so that it opens again.
  return parseJob(
    JSON.parse(
      JSON.stringify({
        format: 1,
        name,
        data,
        goal: { target: target ?? undefined, task: task ?? undefined, gates },
        recipe: { ...recipe, format: undefined },
        split: { ...split, kind: undefined },
        blueprint: blueprint ?? undefined,
        training: training ?? undefined,
        seed,
        executor,
      }),
    ),
  );
}

/** The parts of a project that a job sets; also how the screens open a job file. */
export function projectSettings(
  job: Job,
  project: Project,
): Required<Pick<Project, 'recipe' | 'split' | 'blueprint' | 'training' | 'executor' | 'seed'>> {
  const seed = job.seed ?? project.seed;
  const { recipe, split, blueprint, training } = project;
  return {
    recipe: { ...recipe, ...job.recipe },
    split: { ...split, seed, ...job.split },
    blueprint: job.blueprint === undefined ? blueprint : blueprintOf(job.blueprint),
    training: training && trainingOf(training, job.training ?? {}),
    executor: job.executor ?? 'auto',
    seed,
  };
}

function blueprintOf(wanted: JobBlueprint): BlueprintConfig {
  switch (wanted.kind) {
    case 'linear':
      return BLUEPRINTS.linear;
    case 'mlp':
      return { ...BLUEPRINTS.mlp, ...wanted };
    case 'cnn':
      return { ...BLUEPRINTS.cnn, ...wanted };
  }
}

function trainingOf(base: TrainingConfig, wanted: JobTraining): TrainingConfig {
  const { optimiser, schedule, ...rest } = wanted;
  return {
    ...base,
    ...rest,
    optimiser: optimiser === undefined ? base.optimiser : optimiserOf(optimiser),
    schedule: schedule === undefined ? base.schedule : { warmup: 0, ...schedule },
  };
}

function optimiserOf(wanted: NonNullable<JobTraining['optimiser']>): OptimiserConfig {
  switch (wanted.kind) {
    case 'sgd':
      return { ...OPTIMISERS.sgd, ...wanted };
    case 'adam':
      return { ...OPTIMISERS.adam, ...wanted };
    case 'adamw':
      return { ...OPTIMISERS.adamw, ...wanted };
  }
}
