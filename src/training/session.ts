/**
 * Everything a run needs on its device, made from its configuration: forward graph, training and validation
 * programs over one State. Used by the train worker and by tests, on any executor.
 */
import { buildBlueprint } from '../blueprints/build';
import { invariant } from '../core/errors';
import { sizeOf } from '../core/dtype';
import type { Executor, Program, State } from '../engine/executor';
import type { Graph } from '../onnx/graph';
import type { Prepared } from '../protocol/api';
import type { FittedRecipe, RunConfig } from '../protocol/entities';
import { stepsPerEpoch } from './course';
import { outputCount } from './lesson';
import type { Lesson } from './lesson';
import type { LoopRequest } from './loop-types';
import { learningRateAt } from './schedule';
import {
  buildTrainingGraph,
  buildValidationGraph,
  FACTORS_INPUT,
  factorsFeed,
} from './training-graph';
import type { MaskSpec } from './training-graph';
import type { Reading } from './validation';

/**
 * What a graphics processor keeps of the forward pass; a larger step computes some of it twice rather than fail.
 * onnxruntime would find the second computation equal to the first and drop it, so on the processor it is not asked.
 */
const ACTIVATION_BYTES = 2 ** 30;

export interface Session {
  /** What the run's model will be, with its first weights: `features` to `logits`. */
  readonly forward: Graph;
  readonly state: State;
  readonly train: Program;
  readonly validate: Program;
  readonly masks: readonly MaskSpec[];
  readonly stepsTotal: number;
  /** Numbers that learn. */
  readonly weights: number;
  /** Of a pretrained body. */
  readonly lesson: Lesson | null;
  /** Shares of the learning rate that a step is fed, by input. */
  readonly rates: (epoch: number) => ReadonlyMap<string, Float32Array>;
  dispose(): void;
}

type SessionConfig = Pick<RunConfig, 'task' | 'blueprint' | 'training' | 'seed'>;

/** The forward graph of a configuration, with its seeded weights and a symbolic batch. */
export function forwardGraph(config: SessionConfig, recipe: FittedRecipe): Graph {
  const { blueprint, training, seed } = config;
  const outputs = outputCount(training.loss, recipe);
  invariant(blueprint.kind !== 'pretrained', 'A pretrained body comes with its lesson.');
  return buildBlueprint(blueprint, { featureDims: recipe.featureDims, outputs, seed });
}

/**
 * @param lesson of a pretrained body; @param looked whether the frozen part's answers stand in for the rows, so
 * that only what learns is on the device
 */
export async function openSession(
  executor: Executor,
  config: SessionConfig,
  prepared: Pick<Prepared, 'recipe' | 'parts'>,
  lesson: Lesson | null = null,
  looked = false,
): Promise<Session> {
  const { task, training } = config;
  const { loss, optimiser, batchSize, epochs } = training;
  const forward = lesson?.forward ?? forwardGraph(config, prepared.recipe);
  const learned = (looked ? lesson?.split?.learned : null) ?? forward;
  const factors = lesson?.factors ?? null;
  const taught = lesson ? { trainable: lesson.trainable, batchNorm: lesson.batchNorm } : {};
  const options = { task, loss, batchSize, ...taught };
  const learning = buildTrainingGraph(learned, {
    ...options,
    optimiser,
    withFactors: factors !== null,
    ...(executor.name === 'webgpu' && { activationBytes: ACTIVATION_BYTES }),
  });
  const judging = buildValidationGraph(learned, options);
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
  const sizes = learning.weights.map((name) => sizeOf(learned.initializers.get(name)?.dims ?? [0]));
  return {
    forward,
    state,
    train,
    validate,
    masks: learning.masks,
    stepsTotal: stepsPerEpoch(prepared.parts.train, batchSize) * epochs,
    weights: sizes.reduce((sum, size) => sum + size, 0),
    lesson,
    rates: (epoch) =>
      new Map(
        factors === null
          ? []
          : [[FACTORS_INPUT, factorsFeed(learning.weights, factors(epoch))] as const],
      ),
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
  | 'rates'
> {
  const { training, seed } = config;
  const { state, train, validate, masks, stepsTotal, rates } = session;
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
    rates,
  };
}

function readingOf(loss: RunConfig['training']['loss'], { target }: FittedRecipe): Reading {
  if (target.task === 'regression') {
    return { kind: 'regression', mean: target.mean, scale: target.scale };
  }
  if (loss === 'bce') return { kind: 'binary' };
  return { kind: 'classes', classes: target.classes.length };
}
