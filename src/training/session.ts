/**
 * Everything a run needs on its device, made from its configuration: forward graph, training and validation
 * programs over one State. Used by the train worker and by tests, on any executor.
 */
import { sizeOf } from '../core/dtype';
import type {
  CompileOptions,
  Executor,
  PlanChoice,
  Precision,
  Program,
  State,
} from '../engine/executor';
import type { Graph } from '../onnx/graph';
import type { OnProgress, Prepared } from '../protocol/api';
import type { FittedRecipe, Run, RunConfig } from '../protocol/entities';
import { stepsPerEpoch } from './course';
import { unscaledColumns } from './divergence';
import type { Lesson } from './lesson';
import type { LoopRequest } from './loop-types';
import { runGraphs } from './run-graphs';
import type { SessionConfig } from './run-graphs';
import { learningRateAt } from './schedule';
import { FACTORS_INPUT, factorsFeed } from './training-graph';
import type { StepGraph } from './training-graph';
import type { Reading } from './validation';

export interface Session {
  /** What the run's model will be, with its first weights: `features` to `logits`. */
  readonly forward: Graph;
  readonly state: State;
  readonly train: Program;
  /** Where gradients are accumulated: what each micro-batch runs before `train` ends the step. */
  readonly micro: Program | null;
  readonly validate: Program;
  readonly stepsTotal: number;
  /** Numbers that learn. */
  readonly weights: number;
  readonly planId: string;
  /** What it is really computed in. */
  readonly precision: Precision;
  readonly microBatch: Run['microBatch'] | null;
  /** The State that it began with. */
  readonly initial: ReadonlyMap<string, Float32Array>;
  /** Of a pretrained body. */
  readonly lesson: Lesson | null;
  /** Shares of the learning rate that a step is fed, by input. */
  readonly rates: (epoch: number) => ReadonlyMap<string, Float32Array>;
  dispose(): void;
}

/** What the configuration asks for, as far as the executor has it. */
export function choicesOf(
  executor: Pick<Executor, 'precisions' | 'plans'>,
  { precision = 'float32', plan = 'fixed' }: RunConfig['training'],
): { precision: Precision; plan: PlanChoice } {
  return {
    precision: executor.precisions?.includes(precision) ? precision : 'float32',
    plan: executor.plans?.includes(plan) ? plan : 'fixed',
  };
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
  onProgress: OnProgress = () => undefined,
): Promise<Session> {
  const { batchSize, epochs } = config.training;
  const choices = choicesOf(executor, config.training);
  const { precision } = choices;
  const { name } = executor;
  const { recipe, parts } = prepared;
  const graphs = runGraphs({ config, recipe, executor: name, precision, lesson, looked });
  const { forward, learned, learning, judging, rows } = graphs;
  const state = await executor.createState(learning.stateSpecs);
  const programs: Program[] = [];
  const dispose = (): void => {
    for (const program of programs) program.dispose();
    state.dispose();
  };
  const compile = async (graph: Graph, options: CompileOptions, label: string) => {
    onProgress({ label });
    const told = (done: number, total: number): void =>
      onProgress({ label, done, total, unit: 'items' });
    const program = await executor.compile(graph, state, { ...options, onProgress: told });
    programs.push(program);
    return program;
  };
  const learn = ({ graph, updates, outputs }: StepGraph): Promise<Program> =>
    compile(graph, { updates, outputs, ...choices }, 'Compiling the model');
  try {
    await state.write(learning.initialState);
    const micro = learning.micro && (await learn(learning.micro));
    const train = await learn(learning);
    // What is judged is the model as it will be, so in the numbers that it will be run in.
    const { graph, outputs } = judging;
    const options = { updates: new Map(), outputs, plan: choices.plan };
    const validate = await compile(graph, options, 'Compiling the checks');
    const factors = lesson?.factors ?? null;
    return {
      forward,
      state,
      train,
      micro,
      validate,
      stepsTotal: stepsPerEpoch(parts.train, batchSize) * epochs,
      weights: learning.weights.reduce(
        (sum, weight) => sum + sizeOf(learned.initializers.get(weight)?.dims ?? [0]),
        0,
      ),
      planId: (micro ?? train).planId ?? executor.planId,
      precision,
      microBatch: micro && { rows, batchNorm: learning.statistics.length > 0 },
      initial: learning.initialState,
      lesson,
      rates: (epoch) =>
        new Map(
          factors === null
            ? []
            : [[FACTORS_INPUT, factorsFeed(learning.weights, factors(epoch))] as const],
        ),
      dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
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
  | 'micro'
  | 'validate'
  | 'learningRate'
  | 'rates'
  | 'unscaled'
> {
  const { training, seed } = config;
  const { state, train, micro, validate, stepsTotal, rates } = session;
  return {
    training,
    seed,
    rows: { train: prepared.parts.train, validation: prepared.parts.validation },
    reading: readingOf(training.loss, prepared.recipe),
    state,
    train,
    micro,
    validate,
    learningRate: (step) => learningRateAt(training, step, stepsTotal),
    rates,
    unscaled: unscaledColumns(prepared.recipe),
  };
}

function readingOf(loss: RunConfig['training']['loss'], { target }: FittedRecipe): Reading {
  if (target.task === 'regression') {
    return { kind: 'regression', mean: target.mean, scale: target.scale };
  }
  if (loss === 'bce') return { kind: 'binary' };
  return { kind: 'classes', classes: target.classes.length };
}
