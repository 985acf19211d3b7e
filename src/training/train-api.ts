/**
 * What the train worker offers: it owns the device, runs one training at a time and answers with the finished
 * model. Ordinary code; only workers/train.worker.ts knows that it runs in a worker. The recipe's compiler is
 * handed in, because recipes belong to the data side.
 */
import type { TuningMemory } from '../engine/webgpu/tuner';
import { countWeights } from '../blueprints/weights';
import { AppError } from '../core/errors';
import { graphHash } from '../onnx/hash';
import type { Graph } from '../onnx/graph';
import { writeModel } from '../onnx/writer';
import type {
  OnProgress,
  ProbeReport,
  Progress,
  StoreApi,
  TrainApi,
  TrainEvent,
  TrainOutcome,
  TrainRequest,
} from '../protocol/api';
import type { FittedRecipe, Id } from '../protocol/entities';
import type { BaseOf } from '../protocol/fine-tune';
import { assembleModel } from './assemble';
import type { Base } from './base';
import { Bases } from './bases';
import type { BaseDependencies } from './bases';
import { PortBatchSource } from './batch-source';
import { constantCourse } from './constant';
import { asDeviceLost } from './device-error';
import { RunControl } from './control';
import { Estimates, OTHERS } from './estimates';
import { FeatureBatches } from './features';
import { finishLesson, lessonOptions, prepareLesson } from './lesson';
import type { Lesson } from './lesson';
import { answersOfBody } from './look';
import type { OpenedExecutor } from './executors';
import { train } from './loop';
import type { LoopRequest, LoopSummary } from './loop-types';
import { adapterFile, baseOf, pretrainedMethods } from './pretrained-api';
import { profileAlone } from './profile-alone';
import { choicesOf, loopBasis, openSession } from './session';
import type { Session } from './session';
import { asMemoryError } from '../core/memory-error';
import { checkpointFile, loadCheckpoint, saveCheckpoint } from './stored-run';
import { tuningMemory } from './tuning-memory';

/** What training asks of the store. */
export type TrainStore = Pick<
  StoreApi,
  | 'putCheckpoint'
  | 'getCheckpoint'
  | 'getPretrained'
  | 'getPretrainedFile'
  | 'putFeatures'
  | 'getFeatures'
  | 'getSetting'
  | 'setSetting'
>;

export interface TrainDependencies {
  readonly openStore: (port: MessagePort) => TrainStore;
  readonly compileRecipe: (recipe: FittedRecipe) => Graph;
  readonly openExecutor: (
    name: TrainRequest['executor'],
    memory: TuningMemory,
  ) => Promise<OpenedExecutor>;
  readonly probe: TrainApi['probe'];
  readonly readStatic: BaseDependencies['readStatic'];
}

export function createTrainApi(dependencies: TrainDependencies): TrainApi {
  const { openStore, compileRecipe, openExecutor, probe, readStatic } = dependencies;
  const controls = new Map<Id, RunControl>();
  /** A checkpoint that the store has not taken yet. */
  let unsaved: (() => ArrayBuffer) | null = null;
  let store: TrainStore | null = null;
  let opened: OpenedExecutor | null = null;

  /** The executor last used is kept: opening a device and its engine takes seconds. */
  async function executorNamed(name: TrainRequest['executor']): Promise<OpenedExecutor> {
    if (opened?.executor.name !== name) {
      opened?.executor.dispose();
      opened = null;
      opened = await openExecutor(name, tuningMemory(connected));
    }
    return opened;
  }

  function begin(runId: Id): RunControl {
    if (controls.size > 0) {
      throw new AppError('training/busy', 'Another run is training. Stop it, or wait for it.');
    }
    const control = new RunControl();
    controls.set(runId, control);
    return control;
  }

  /** Refuses what the device has no room for, before it is compiled. */
  function admit(
    { config, prepared }: Pick<TrainRequest, 'config' | 'prepared'>,
    { executor, limits }: OpenedExecutor,
    lesson: Lesson | null,
  ): Promise<void> {
    const { precision } = choicesOf(executor, config.training);
    const { name } = executor;
    const known = { config, prepared, executor: name, precision, others: OTHERS[name] };
    return estimates.admit({ ...known, limits: limits ?? null }, lesson);
  }

  function connected(): TrainStore {
    if (store !== null) return store;
    throw new AppError('worker/no-store', 'The training worker was not connected to the store.');
  }

  const bases = new Bases({ readStatic, store: connected });
  const estimates = new Estimates();

  return {
    ...pretrainedMethods(bases, compileRecipe),

    connectStore(port) {
      store = openStore(port);
    },

    probe: (onProgress): Promise<ProbeReport> => probe(onProgress),

    async estimate(request) {
      const taught = await lessonFor(request, bases, () => undefined);
      return estimates.of(request, taught?.lesson ?? null);
    },

    async run(request, batches, onEvent) {
      const { runId, config, prepared, resume } = request;
      const control = begin(runId);
      const source = new PortBatchSource(batches, config.task === 'classification');
      let session: Session | null = null;
      try {
        const phase = (progress: Progress): void => onEvent({ type: 'phase', progress });
        onEvent({ type: 'state', state: 'preparing' });
        phase({ label: 'Starting the engine' });
        const device = await executorNamed(request.executor);
        const { executor, label } = device;
        const taught = await lessonFor(request, bases, phase);
        if (!request.constant) await admit(request, device, taught?.lesson ?? null);
        const beforeLooking = performance.now();
        const answers =
          taught &&
          (await answersOfBody({
            ...taught,
            request,
            executor,
            control,
            batches: source,
            store: connected(),
            onProgress: phase,
          }));
        const lookingSeconds = answers ? (performance.now() - beforeLooking) / 1000 : 0;
        const lesson = taught?.lesson ?? null;
        const looked = answers !== null;
        const own = await openSession(executor, config, prepared, lesson, looked, phase);
        session = own;
        const resumed =
          resume && !request.constant ? await loadCheckpoint(connected(), runId, own) : null;
        const { planId, stepsTotal, weights, precision, microBatch } = own;
        onEvent({
          type: 'started',
          planId,
          label,
          graphHash: await graphHash(own.forward),
          stepsTotal,
          weights,
          precision,
          ...(microBatch ? { microBatch } : {}),
          ...(resumed && {
            resumed: {
              step: resumed.step,
              executor: resumed.executor,
              planId: resumed.planId,
              curve: resumed.loop.curve,
            },
          }),
          canProfile: (own.micro ?? own.train).profile !== undefined,
        });
        control.profiling.modelNodes = own.forward.nodes.map(({ name }) => name);
        const basis = {
          ...loopBasis(own, config, prepared),
          control,
          batches: answers ? new FeatureBatches(source, answers) : source,
        };
        const summary = request.constant
          ? await constantCourse(basis, prepared)
          : await drain(
              {
                ...basis,
                lost: executor.lost,
                lookingSeconds,
                checkpoint: {
                  everySeconds: request.checkpointEverySeconds,
                  save: async (checkpoint) => {
                    unsaved = () => checkpointFile(runId, own, checkpoint);
                    await saveCheckpoint(connected(), request, own, checkpoint);
                    unsaved = null;
                  },
                },
                resumeFrom: resumed,
              },
              onEvent,
            );
        return await finished(
          compileRecipe(prepared.recipe),
          own,
          taught?.base ?? null,
          request,
          summary,
        );
      } catch (error) {
        const told = request.executor === 'webgpu' ? asDeviceLost(error) : error;
        // A lost device is of no use to the next run.
        if (told instanceof AppError && told.code === 'engine/device-lost') opened = null;
        throw asMemoryError(told);
      } finally {
        unsaved = null;
        controls.delete(runId);
        source.dispose();
        session?.dispose();
      }
    },

    async profileAlone(request, steps, port, onEvent) {
      const control = begin(request.runId);
      const batches = new PortBatchSource(port, request.config.task === 'classification');
      try {
        onEvent({ type: 'phase', progress: { label: 'Starting the engine' } });
        const device = await executorNamed(request.executor);
        await admit(request, device, null);
        const { executor } = device;
        return await profileAlone({ ...request, executor, control, batches, steps, onEvent });
      } finally {
        controls.delete(request.runId);
        batches.dispose();
      }
    },

    checkpoint: (runId) => controls.get(runId)?.checkpoint(),
    unsavedCheckpoint: (runId) => (controls.has(runId) && unsaved ? unsaved() : null),

    drill(harm) {
      if (harm === 'hang') for (;;);
      if (controls.size === 0 || !opened?.executor.lose) return false;
      opened.executor.lose();
      return true;
    },

    profile: (runId, steps) => controls.get(runId)?.profiling.begin(steps),
    pause: (runId) => controls.get(runId)?.pause(),
    resume: (runId) => controls.get(runId)?.resume(),
    stop: (runId) => controls.get(runId)?.stop(),
  };
}

async function drain(
  request: LoopRequest,
  onEvent: (event: TrainEvent) => void,
): Promise<LoopSummary> {
  const run = train(request);
  for (;;) {
    const next = await run.next();
    if (next.done) return next.value;
    onEvent(next.value);
  }
}

interface Taught {
  readonly lesson: Lesson;
  readonly base: Base;
}

/** What a pretrained body is to learn; null for the studio's own blueprints. */
async function lessonFor(
  { config, prepared }: Pick<TrainRequest, 'config' | 'prepared'>,
  bases: Bases,
  onProgress: OnProgress,
): Promise<Taught | null> {
  const { blueprint, training, seed } = config;
  if (blueprint.kind !== 'pretrained') return null;
  onProgress({ label: 'Loading the pretrained model' });
  const base = await bases.load(blueprint.source);
  const options = lessonOptions({ loss: training.loss, seed }, prepared.recipe);
  return { base, lesson: prepareLesson(blueprint, base, options) };
}

async function finished(
  recipeGraph: Graph,
  { forward, lesson }: Session,
  from: Base | null,
  request: TrainRequest,
  summary: LoopSummary,
): Promise<TrainOutcome> {
  const { status, loop, stepsDone, seconds, examplesPerSecond, best, state } = summary;
  const { divergence } = summary;
  const { blueprint, training } = request.config;
  const { recipe } = request.prepared;
  const base: BaseOf | null =
    from && blueprint.kind === 'pretrained' ? baseOf(blueprint, from) : null;
  const learned = lesson ? finishLesson(lesson, state) : forward;
  const { graph, signature } = assembleModel(recipeGraph, learned, state, recipe, training.loss);
  return {
    status,
    model: writeModel(graph).buffer,
    graphHash: await graphHash(graph),
    signature,
    weights: countWeights(learned),
    adapter: lesson && base && adapterFile(lesson, state, request, base),
    base,
    loop,
    stepsDone,
    seconds,
    examplesPerSecond,
    best,
    ...(divergence && { divergence }),
  };
}
