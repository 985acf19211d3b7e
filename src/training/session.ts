/**
 * Everything a run needs on its device, made from its configuration: forward graph, training and validation
 * programs over one State. Used by the train worker and by tests, on any executor.
 */
import { buildBlueprint } from '../blueprints/build';
import { AppError } from '../core/errors';
import type { Executor, Program, State } from '../engine/executor';
import type { Graph } from '../onnx/graph';
import type { Prepared } from '../protocol/api';
import type { FittedRecipe, RunConfig } from '../protocol/entities';
import { stepsPerEpoch } from './course';
import type { LoopRequest } from './loop-types';
import { learningRateAt } from './schedule';
import { buildTrainingGraph, buildValidationGraph } from './training-graph';
import type { MaskSpec } from './training-graph';
import type { Reading } from './validation';

export interface Session {
  readonly forward: Graph;
  readonly state: State;
  readonly train: Program;
  readonly validate: Program;
  readonly masks: readonly MaskSpec[];
  readonly stepsTotal: number;
  dispose(): void;
}

type SessionConfig = Pick<RunConfig, 'task' | 'blueprint' | 'training' | 'seed'>;

/** The forward graph of a configuration, with its seeded weights and a symbolic batch. */
export function forwardGraph(config: SessionConfig, recipe: FittedRecipe): Graph {
  const { blueprint, training, seed } = config;
  const outputs = outputCount(training.loss, recipe);
  if (blueprint.kind === 'pretrained') {
    throw new AppError('training/no-body', 'The pretrained body of this model was not given.');
  }
  return buildBlueprint(blueprint, { featureDims: recipe.featureDims, outputs, seed });
}

export async function openSession(
  executor: Executor,
  config: SessionConfig,
  prepared: Pick<Prepared, 'recipe' | 'parts'>,
): Promise<Session> {
  const { task, training } = config;
  const { loss, optimiser, batchSize, epochs } = training;
  const forward = forwardGraph(config, prepared.recipe);
  const learning = buildTrainingGraph(forward, { task, loss, batchSize, optimiser });
  const judging = buildValidationGraph(forward, { task, loss, batchSize });
  const state = await executor.createState(learning.stateSpecs);
  await state.write(learning.initialState);
  const train = await executor.compile(learning.graph, state, {
    updates: learning.updates,
    outputs: learning.outputs,
  });
  const validate = await executor.compile(judging.graph, state, {
    updates: new Map(),
    outputs: judging.outputs,
  });
  return {
    forward,
    state,
    train,
    validate,
    masks: learning.masks,
    stepsTotal: stepsPerEpoch(prepared.parts.train, batchSize) * epochs,
    dispose() {
      train.dispose();
      validate.dispose();
      state.dispose();
    },
  };
}

/** The part of a loop's request that follows from the configuration and its session. */
export function loopBasis(
  session: Session,
  config: SessionConfig,
  prepared: Pick<Prepared, 'recipe' | 'parts'>,
): Pick<
  LoopRequest,
  | 'training'
  | 'seed'
  | 'rows'
  | 'reading'
  | 'state'
  | 'train'
  | 'validate'
  | 'masks'
  | 'learningRate'
> {
  const { training, seed } = config;
  const { state, train, validate, masks, stepsTotal } = session;
  return {
    training,
    seed,
    rows: { train: prepared.parts.train, validation: prepared.parts.validation },
    reading: readingOf(training.loss, prepared.recipe),
    state,
    train,
    validate,
    masks,
    learningRate: (step) => learningRateAt(training, step, stepsTotal),
  };
}

function readingOf(loss: RunConfig['training']['loss'], { target }: FittedRecipe): Reading {
  if (target.task === 'regression') {
    return { kind: 'regression', mean: target.mean, scale: target.scale };
  }
  if (loss === 'bce') return { kind: 'binary' };
  return { kind: 'classes', classes: target.classes.length };
}

function outputCount(loss: RunConfig['training']['loss'], { target }: FittedRecipe): number {
  if (target.task === 'regression') return 1;
  const classes = target.classes.length;
  if (loss !== 'bce') return classes;
  if (classes === 2) return 1;
  throw new AppError(
    'training/loss',
    `The loss bce is for two classes, and "${target.column}" has ${classes}. Choose softmax-ce.`,
    { classes },
  );
}
