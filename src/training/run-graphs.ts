/** The graphs of a run, from its configuration alone: what a session compiles, and an estimate measures. */
import { buildBlueprint } from '../blueprints/build';
import { invariant } from '../core/errors';
import type { ExecutorName, Precision } from '../engine/executor';
import type { Graph } from '../onnx/graph';
import type { FittedRecipe, RunConfig } from '../protocol/entities';
import { outputCount } from './lesson';
import type { Lesson } from './lesson';
import { FIRST_LOSS_SCALE } from './loss-scale';
import { microBatchRows } from './micro-batch';
import { buildTrainingGraph, buildValidationGraph } from './training-graph';
import type { TrainingGraph, ValidationGraph } from './training-graph';

/** What a graphics processor keeps of the forward pass; a larger step computes some of it twice rather than fail. */
const ACTIVATION_BYTES = 2 ** 30;

export type SessionConfig = Pick<RunConfig, 'task' | 'blueprint' | 'training' | 'seed'>;

export interface RunGraphs {
  /** What the run's model will be, with its first weights: `features` to `logits`. */
  readonly forward: Graph;
  /** The part of it that learns. */
  readonly learned: Graph;
  readonly learning: TrainingGraph;
  readonly judging: ValidationGraph;
  /** Rows that go through the model at once. */
  readonly rows: number;
}

export interface GraphsRequest {
  readonly config: SessionConfig;
  readonly recipe: FittedRecipe;
  readonly executor: ExecutorName;
  readonly precision: Precision;
  /** Of a pretrained body. */
  readonly lesson: Lesson | null;
  /** Whether the frozen part's answers stand in for the rows, so that only what learns is on the device. */
  readonly looked: boolean;
}

/** The forward graph of a configuration, with its seeded weights and a symbolic batch. */
export function forwardGraph(config: SessionConfig, recipe: FittedRecipe): Graph {
  const { blueprint, training, seed } = config;
  const outputs = outputCount(training.loss, recipe);
  invariant(blueprint.kind !== 'pretrained', 'A pretrained body comes with its lesson.');
  return buildBlueprint(blueprint, { featureDims: recipe.featureDims, outputs, seed });
}

export function runGraphs(request: GraphsRequest): RunGraphs {
  const { config, recipe, executor, precision, lesson, looked } = request;
  const { task, training } = config;
  const { loss, optimiser, accumulate = 1, lossScale = FIRST_LOSS_SCALE } = training;
  const rows = microBatchRows(training.batchSize, accumulate);
  const forward = lesson?.forward ?? forwardGraph(config, recipe);
  const learned = (looked ? lesson?.split?.learned : null) ?? forward;
  const taught = lesson ? { trainable: lesson.trainable, batchNorm: lesson.batchNorm } : {};
  const options = { task, loss, batchSize: rows, ...taught };
  const activationBytes = activationsOf(training.memory, executor);
  const learning = buildTrainingGraph(learned, {
    ...options,
    optimiser,
    accumulate,
    withFactors: lesson !== null && lesson.factors !== null,
    ...(activationBytes !== null && { activationBytes }),
    ...(precision === 'float16' && { lossScale }),
  });
  return { forward, learned, learning, judging: buildValidationGraph(learned, options), rows };
}

/**
 * Most bytes of forward values to keep; null for all. onnxruntime would find the second computation equal to the first
 * and drop it, so on the processor it is not asked for.
 */
function activationsOf(
  memory: RunConfig['training']['memory'],
  executor: ExecutorName,
): number | null {
  if (executor !== 'webgpu' || memory === 'full') return null;
  return typeof memory === 'number' ? memory : ACTIVATION_BYTES;
}
