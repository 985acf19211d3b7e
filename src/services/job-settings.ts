/** From a job file to a project's settings and back: the screens export and open the files that `npm run job` runs. */
import { AppError } from '../core/errors';
import type {
  BlueprintConfig,
  OptimiserConfig,
  Project,
  SplitConfig,
  TrainingConfig,
} from '../protocol/entities';
import { parseJob } from '../protocol/job';
import type { FineTuneStrategy, PretrainedBlueprint } from '../protocol/fine-tune';
import type { Job, JobBlueprint, JobPretrained, JobTraining } from '../protocol/job';
import { BLUEPRINTS, OPTIMISERS } from './defaults';
import { pacedTraining, STRATEGIES } from './pretrained';

/** The job that repeats what a project does now, for the screens to export. */
export function jobOf(project: Project, data: Job['data'], bodyName = 'model'): Job {
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
        split: {
          ...split,
          ...(split.kind === 'grouped' ? { grouped: true } : {}),
          kind: undefined,
          by: undefined,
        },
        blueprint: blueprint ? jobBlueprint(blueprint, bodyName) : undefined,
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
  /** The body that the job names, where it was found. */
  body: PretrainedBlueprint | null = bodyOf(project),
): Required<Pick<Project, 'recipe' | 'split' | 'blueprint' | 'training' | 'executor' | 'seed'>> {
  const seed = job.seed ?? project.seed;
  const { recipe, training } = project;
  const blueprint =
    job.blueprint === undefined ? project.blueprint : blueprintOf(job.blueprint, body);
  const paced =
    training && blueprint?.kind === 'pretrained' && job.blueprint
      ? pacedTraining(training, blueprint.strategy.kind)
      : training;
  return {
    recipe: { ...recipe, ...job.recipe },
    split: splitOf(project.split, { seed, ...job.split }),
    blueprint,
    training: paced && trainingOf(paced, job.training ?? {}),
    executor: job.executor ?? 'auto',
    seed,
  };
}

function splitOf(base: SplitConfig, wanted: Partial<NonNullable<Job['split']>>): SplitConfig {
  const { testGroups, grouped, ...shares } = wanted;
  if (testGroups) return { ...base, ...shares, kind: 'fixed', by: 'group', testGroups };
  if (grouped) return { ...base, ...shares, kind: 'grouped', by: 'group' };
  return { ...base, ...shares };
}

function bodyOf({ blueprint }: Project): PretrainedBlueprint | null {
  return blueprint?.kind === 'pretrained' ? blueprint : null;
}

function jobBlueprint(blueprint: BlueprintConfig, bodyName: string): JobBlueprint {
  if (blueprint.kind !== 'pretrained') {
    // Through the schema: lists of the job may be written to, ours may not.
    return JSON.parse(JSON.stringify(blueprint)) as JobBlueprint;
  }
  const { source, cut, head, strategy, batchNorm, picture } = blueprint;
  const { resize, mean, std } = picture ?? {};
  return {
    kind: 'pretrained',
    source: source.kind === 'embedded' ? { embedded: source.id } : { file: `${bodyName}.onnx` },
    cut,
    head,
    strategy,
    batchNorm,
    ...(resize ? { size: resize.height } : {}),
    ...(mean && std ? { pixels: { mean: [...mean], std: [...std] } } : {}),
  };
}

/** What the job says of it on top of a body's own beginning. */
function pretrainedOf(wanted: JobPretrained, body: PretrainedBlueprint | null): BlueprintConfig {
  const { source, cut, head, strategy, batchNorm, size, pixels } = wanted;
  const own = body?.source;
  const named = 'embedded' in source ? source.embedded : source.file;
  const meant = own && ('embedded' in source ? own.kind === 'embedded' : own.kind === 'own');
  if (!body || !meant) {
    throw new AppError(
      'job/body',
      `This job starts from the pretrained model "${named}". Choose it on the Model screen first, then open the job again.`,
      { body: named },
    );
  }
  const picture = body.picture && {
    ...body.picture,
    ...(size === undefined ? {} : { resize: { height: size, width: size } }),
    ...pixels,
  };
  return {
    ...body,
    cut: cut ?? null,
    head: { ...body.head, ...head },
    strategy: strategyOf(strategy ?? { kind: 'head' }),
    batchNorm: batchNorm ?? body.batchNorm,
    picture,
  };
}

function strategyOf(wanted: NonNullable<JobPretrained['strategy']>): FineTuneStrategy {
  switch (wanted.kind) {
    case 'head':
      return STRATEGIES.head;
    case 'last-blocks':
      return { ...STRATEGIES['last-blocks'], ...wanted };
    case 'full':
      return { ...STRATEGIES.full, ...wanted };
    case 'gradual':
      return { ...STRATEGIES.gradual, ...wanted };
    case 'lora':
      return { ...STRATEGIES.lora, ...wanted };
  }
}

function blueprintOf(wanted: JobBlueprint, body: PretrainedBlueprint | null): BlueprintConfig {
  switch (wanted.kind) {
    case 'linear':
      return BLUEPRINTS.linear;
    case 'mlp':
      return { ...BLUEPRINTS.mlp, ...wanted };
    case 'cnn':
      return { ...BLUEPRINTS.cnn, ...wanted };
    case 'pretrained':
      return pretrainedOf(wanted, body);
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
    case 'lion':
      return { ...OPTIMISERS.lion, ...wanted };
  }
}
