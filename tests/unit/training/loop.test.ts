import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { TrainingConfig } from '../../../src/protocol/entities';
import { RunControl } from '../../../src/training/control';
import { train } from '../../../src/training/loop';
import type {
  LoopCheckpoint,
  LoopEvent,
  LoopRequest,
  LoopSummary,
} from '../../../src/training/loop-types';
import { InMemoryBatches } from '../../support/in-memory-batches';
import { ToyProgram, ToyState } from '../../support/toy-programs';
import type { ToyFaults, ToyManner } from '../../support/toy-programs';

const TRAINING: TrainingConfig = {
  epochs: 6,
  batchSize: 4,
  learningRate: 0.1,
  optimiser: { kind: 'sgd', momentum: 0 },
  schedule: { kind: 'constant', warmup: 0 },
  clipNorm: 0,
  loss: 'mse',
  classWeights: 'none',
  patience: 0,
  augment: null,
  maxSeconds: null,
};

/** y = 2 x - 1 without noise: 10 training rows (a tail of 2 in batches of 4) and 5 to validate. */
const line = (xs: readonly number[]): { features: number[][]; labels: number[] } => ({
  features: xs.map((x) => [x]),
  labels: xs.map((x) => 2 * x - 1),
});
const PARTS = {
  train: line([-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5]),
  validation: line([-1.2, -0.3, 0.4, 1.1, 1.9]),
};

interface Harness {
  request: LoopRequest;
  state: ToyState;
  program: ToyProgram;
  batches: InMemoryBatches;
  control: RunControl;
  saved: LoopCheckpoint[];
}

function harness(
  training: Partial<TrainingConfig> = {},
  options: Partial<LoopRequest> & {
    faults?: ToyFaults;
    manner?: ToyManner;
    everySeconds?: number;
  } = {},
): Harness {
  const { faults, manner, everySeconds = 1e9, ...rest } = options;
  const config = { ...TRAINING, ...training };
  const state = new ToyState();
  const program = new ToyProgram(state, true, faults, manner);
  const batches = new InMemoryBatches(PARTS, config.batchSize, true);
  const control = new RunControl();
  const saved: LoopCheckpoint[] = [];
  const request: LoopRequest = {
    training: config,
    seed: 1,
    rows: { train: 10, validation: 5 },
    reading: { kind: 'regression', mean: 0, scale: 10 },
    state,
    train: program,
    validate: new ToyProgram(state, false),
    learningRate: () => config.learningRate,
    batches,
    control,
    lost: new Promise(() => undefined),
    checkpoint: {
      everySeconds,
      save: async (checkpoint) => {
        saved.push(structuredClone(checkpoint));
      },
    },
    resumeFrom: null,
    ...rest,
  };
  return { request, state, program, batches, control, saved };
}

async function finish(
  request: LoopRequest,
  onEvent: (event: LoopEvent) => void = () => undefined,
): Promise<LoopSummary> {
  const run = train(request);
  for (;;) {
    const next = await run.next();
    if (next.done) return next.value;
    onEvent(next.value);
  }
}

async function failure(request: LoopRequest): Promise<AppError> {
  const error = await finish(request).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

describe('the training loop', () => {
  it('learns the line, validates every epoch and gives every batch back', async () => {
    const { request, program, batches } = harness({ epochs: 60 });
    const summary = await finish(request);
    expect(summary.status).toBe('done');
    expect(summary.stepsDone).toBe(180);
    expect(summary.state.get('w')?.[0]).toBeCloseTo(2, 2);
    expect(summary.state.get('b')?.[0]).toBeCloseTo(-1, 2);
    const validations = summary.loop.curve.filter(({ series }) => series === 'validation');
    expect(validations.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
    expect(batches.held).toBe(0);
    expect(program.mostInFlight).toBe(2);
  });

  it('gives the metric in the units of the target', async () => {
    const { request } = harness({ epochs: 1, learningRate: 1e-9 });
    const { best, loop } = await finish(request);
    // With w = b = 0 the error of a row is its label, times the scale of 10.
    const { labels } = PARTS.validation;
    const mse = labels.reduce((sum, y) => sum + y * y, 0) / labels.length;
    expect(best.metric).toBeCloseTo(10 * Math.sqrt(mse), 4);
    expect(best.loss).toBeCloseTo(mse / 2, 5);
    expect(best.total).toBe(5);
    expect(loop.curve.at(-1)).toMatchObject({ series: 'validation', step: 3, epoch: 1 });
  });

  it('names the hardest validation rows first', async () => {
    const { request } = harness({ epochs: 1, learningRate: 1e-9 });
    const events: LoopEvent[] = [];
    await finish(request, (event) => events.push(event));
    const hardest = events.find((event) => event.type === 'hardest');
    const rows = hardest?.type === 'hardest' ? hardest.examples.map(({ row }) => row) : [];
    // |2 x - 1|: -3.4, -1.6, -0.2, 1.2, 2.8
    expect(rows).toEqual([0, 4, 1, 3, 2]);
  });

  it('feeds step numbers from 1, the scheduled rate and the clip norm', async () => {
    const { request, program } = harness(
      { epochs: 2, clipNorm: 3 },
      { learningRate: (step) => step / 100 },
    );
    await finish(request);
    const fed = (name: string): (number | undefined)[] =>
      program.fed.map((feeds) => feeds.get(name)?.[0]);
    expect(fed('step')).toEqual([1, 2, 3, 4, 5, 6]);
    expect(fed('learning_rate')[5]).toBeCloseTo(0.06, 6);
    expect(new Set(fed('clip_norm'))).toEqual(new Set([3]));
  });

  it('stops early and returns the best weights, not the last', async () => {
    // A rate at which the loss falls and then explodes would be fragile; a rising one is exact.
    const { request, state } = harness(
      { epochs: 50, patience: 3 },
      { learningRate: (step) => (step <= 6 ? 0.1 : -0.1) },
    );
    const summary = await finish(request);
    expect(summary.best.epoch).toBe(2);
    expect(summary.stepsDone).toBe((2 + 3) * 3);
    const twoEpochs = await finish(harness({ epochs: 2 }).request);
    expect(summary.state).toEqual(twoEpochs.state);
    expect(state.values).toEqual(twoEpochs.state);
  });

  it('pauses with a checkpoint, takes no step meanwhile, and goes on to the same end', async () => {
    const { request, control, program, saved } = harness();
    const states: string[] = [];
    const finished = finish(request, (event) => {
      if (event.type === 'points' && event.step === 3) control.pause();
      if (event.type === 'state') states.push(event.state);
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(states).toEqual(['paused']);
    const { steps } = program;
    expect(saved.map(({ step }) => step)).toEqual([steps]);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(program.steps).toBe(steps);
    control.resume();
    const summary = await finished;
    expect(states).toEqual(['paused', 'running']);
    expect(summary.state).toEqual((await finish(harness().request)).state);
  });

  it('stops when asked and keeps the best so far, even before the first validation', async () => {
    const { request, control } = harness({ epochs: 1000 });
    control.stop();
    const summary = await finish(request);
    expect(summary).toMatchObject({ status: 'stopped', stepsDone: 1 });
    expect(summary.best.total).toBe(5);
  });

  it('stops out of a pause', async () => {
    const { request, control } = harness({ epochs: 1000 });
    control.pause();
    const finished = finish(request, (event) => {
      if (event.type === 'state') control.stop();
    });
    expect((await finished).status).toBe('stopped');
  });

  it('ends with the epoch that passes maxSeconds', async () => {
    const { request } = harness({ epochs: 1000, maxSeconds: 1e-9 });
    expect(await finish(request)).toMatchObject({ status: 'done', stepsDone: 3 });
  });

  it('counts the seconds in which a body looked at the rows, but not against maxSeconds', async () => {
    const { request } = harness({ epochs: 2, maxSeconds: 30 }, { lookingSeconds: 40 });
    const summary = await finish(request);
    expect(summary.stepsDone).toBe(6);
    expect(summary.seconds).toBeGreaterThanOrEqual(40);
    expect(summary.seconds).toBeLessThan(70);
    expect(summary.loop.seconds).toBeGreaterThanOrEqual(40);
  });

  it.each([1, 4, 8, 9, 12])(
    'resumes from a checkpoint after step %i bit-equal to an uninterrupted run',
    async (at) => {
      const whole = harness({ epochs: 5, patience: 2 });
      const expected = await finish(whole.request);
      const first = harness({ epochs: 5, patience: 2 }, { everySeconds: 0 });
      await finish(first.request);
      const checkpoint = first.saved.find(({ step }) => step === at);
      expect(checkpoint).toBeDefined();
      const second = harness(
        { epochs: 5, patience: 2 },
        { ...(checkpoint ? { resumeFrom: checkpoint } : {}) },
      );
      const resumed = await finish(second.request);
      expect(resumed.state).toEqual(expected.state);
      expect(resumed.loop.curve).toEqual(expected.loop.curve);
      expect(resumed.best).toEqual(expected.best);
      expect(second.program.steps).toBe(15 - at);
    },
  );

  it('ends with the best weights before it where a loss is not finite, and says what was known', async () => {
    const { request } = harness({ clipNorm: 2 }, { faults: { nanAt: 5 } });
    const unscaled = [{ column: 'mass', largest: 6300 }];
    const summary = await finish({ ...request, unscaled });
    expect(summary).toMatchObject({ status: 'stopped', stepsDone: 4, best: { epoch: 1 } });
    expect(summary.divergence).toMatchObject({
      step: 5,
      what: 'loss',
      learningRate: 0.1,
      clipNorm: 2,
      unscaled,
      keptEpoch: 1,
    });
    expect(summary.divergence?.gradNorms).toHaveLength(4);
    expect(summary.state).toEqual((await finish(harness({ epochs: 1 }).request)).state);
  });

  it('fails where no epoch was good, and keeps the weights before it', async () => {
    const { request, saved } = harness({}, { faults: { nanAt: 2 } });
    const error = await failure(request);
    expect(error).toMatchObject({ code: 'training/diverged', data: { step: 2 } });
    expect(saved).toHaveLength(1);
    for (const values of saved[0]?.state.values() ?? []) {
      expect(values.every(Number.isFinite)).toBe(true);
    }
  });

  it('never saves a weight that is not finite', async () => {
    const { request, saved, state } = harness({ epochs: 3 }, { everySeconds: 0 });
    const { read } = state;
    let reads = 0;
    state.read = async () => {
      const values = await read.call(state);
      if (++reads > 5) values.set('w', Float32Array.of(Infinity));
      return values;
    };
    const summary = await finish(request).catch((error: unknown) => error);
    expect(summary).toBeInstanceOf(AppError);
    expect(saved.length).toBeGreaterThan(2);
    for (const { state: kept } of saved) expect(kept.get('w')?.every(Number.isFinite)).toBe(true);
  });

  it('holds still while the disk is full, and goes on to the same end when there is room', async () => {
    const { request, control, program } = harness({ epochs: 4 }, { everySeconds: 0 });
    let refusals = 3;
    const events: LoopEvent[] = [];
    const steps: number[] = [];
    const checkpoint = {
      everySeconds: 0,
      save: async () => {
        if (program.steps < 4 || refusals === 0) return;
        refusals--;
        steps.push(program.steps);
        // The person presses "Go on" each time.
        setTimeout(() => control.resume(), 5);
        throw new AppError('store/quota', 'No room left.');
      },
    };
    const summary = await finish({ ...request, checkpoint }, (event) => events.push(event));
    expect(new Set(steps).size).toBe(1);
    expect(steps).toHaveLength(3);
    expect(events.filter(({ type }) => type === 'full' || type === 'room')).toEqual([
      { type: 'full', step: 4, reason: 'No room left.' },
      { type: 'room', step: 4 },
    ]);
    const states = events.flatMap((event) => (event.type === 'state' ? [event.state] : []));
    expect(states).toEqual(['paused', 'running']);
    expect(summary.status).toBe('done');
    expect(summary.state).toEqual((await finish(harness({ epochs: 4 }).request)).state);
  });

  it('takes a checkpoint when asked', async () => {
    const { request, control, saved } = harness({ epochs: 2 });
    await finish(request, (event) => {
      if (event.type === 'points' && event.step === 3) control.checkpoint();
    });
    expect(saved.map(({ step }) => step)).toEqual([3]);
  });

  it('takes a call that fails with its process for a lost device', async () => {
    const { request, state } = harness({ epochs: 2 });
    state.snapshot = () =>
      Promise.reject(new DOMException('The instance is gone.', 'OperationError'));
    const events: LoopEvent[] = [];
    const error: unknown = await finish(request, (event) => events.push(event)).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'engine/device-lost' });
    expect(events.at(-1)).toEqual({ type: 'lost', reason: 'The instance is gone.', step: 3 });
  });

  it('counts nothing that a device says after it was lost', async () => {
    let lose: (reason: string) => void = () => undefined;
    const lost = new Promise<string>((resolve) => (lose = resolve));
    // Calls on a lost device go on as if nothing had happened.
    const says = (step: number) => {
      if (step === 2) lose('Unplugged.');
      return [];
    };
    const { request, saved } = harness({ epochs: 2 }, { manner: { says }, everySeconds: 0, lost });
    expect((await failure(request)).code).toBe('engine/device-lost');
    expect(saved.every(({ step }) => step < 2)).toBe(true);
  });

  it('notices a step that the device dropped', async () => {
    const { request } = harness({}, { faults: { droppedAt: 2 } });
    expect(await failure(request)).toMatchObject({ code: 'engine/device-lost', data: { step: 2 } });
  });

  it('does not wait for a device that is gone, and says so', async () => {
    const lost = new Promise<string>((resolve) => setTimeout(() => resolve('Unplugged.'), 20));
    const { request } = harness({}, { faults: { hangAt: 2 }, lost });
    const events: LoopEvent[] = [];
    const error: unknown = await finish(request, (event) => events.push(event)).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'engine/device-lost', data: { reason: 'Unplugged.' } });
    // Two more were on their way: they count for nothing.
    expect(events).toEqual([{ type: 'lost', reason: 'Unplugged.', step: 0 }]);
  });

  it('never comes to an end on a device that is gone', async () => {
    const { request, program, state } = harness({ epochs: 2 });
    const lost = new Promise<string>((resolve) => {
      state.restore = () => {
        resolve('Unplugged.');
        return new Promise(() => undefined);
      };
    });
    expect((await failure({ ...request, lost })).code).toBe('engine/device-lost');
    expect(program.steps).toBe(6);
  });

  it('loses no figure of steps that are read later and together', async () => {
    const expected = await finish(harness({ epochs: 40 }).request);
    const landing = (): Promise<void> => Promise.resolve();
    const { request, program, batches } = harness({ epochs: 40 }, { manner: { landing } });
    const summary = await finish(request);
    expect(summary.loop.curve).toEqual(expected.loop.curve);
    expect(summary.state).toEqual(expected.state);
    expect(program.reads).toBe(120);
    expect(program.mostInFlight).toBe(2);
    expect(batches.held).toBe(0);
  });

  it('has the next batches on their way while steps are under way', async () => {
    const landing = (): Promise<void> => new Promise(() => undefined);
    const { request, program, batches } = harness({}, { manner: { landing } });
    void finish(request);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(program.steps).toBe(2);
    expect(batches.asked.map(({ epoch, index }) => [epoch, index])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
    ]);
  });

  it('hears of a stop within a step, though the executor never rests', async () => {
    const { port1, port2 } = new MessageChannel();
    const { request, control, program } = harness(
      { epochs: 1000 },
      {
        manner: {
          says: (step) => {
            if (step === 7) port1.postMessage('stop');
            return [];
          },
        },
      },
    );
    port2.onmessage = () => control.stop();
    try {
      const { status, stepsDone } = await finish(request);
      expect(status).toBe('stopped');
      expect(stepsDone).toBeLessThanOrEqual(8);
      expect(program.steps).toBe(stepsDone);
    } finally {
      port1.close();
    }
  });

  it('counts the steps that were skipped, through a checkpoint too', async () => {
    const says = (step: number) => {
      const skipped = [2, 3, 9].includes(step);
      const used = { 2: 8, 3: 4 }[step] ?? (step < 4 ? 8 : 2);
      const norm = [['grad_norm', skipped ? Infinity : 1] as const];
      const loss = skipped ? [['loss_numerator', NaN] as const] : [];
      return [...norm, ...loss, ['loss_scale/used', used] as const];
    };
    const first = harness({ epochs: 4 }, { manner: { says }, everySeconds: 0 });
    const events: LoopEvent[] = [];
    const summary = await finish(first.request, (event) => events.push(event));
    expect(summary.loop.skipped).toEqual({ count: 3, steps: [2, 3, 9], lossScale: 2 });
    const points = events.flatMap((event) => (event.type === 'points' ? [event] : []));
    const afterThree = { count: 2, steps: [2, 3], lossScale: 2, inRow: 2 };
    expect(points[0]?.skipped).toEqual(afterThree);
    // The loss of a skipped step is no number, and the curve has none of it.
    expect(summary.loop.curve.every(({ loss }) => Number.isFinite(loss))).toBe(true);
    const resumeFrom = first.saved.find(({ step }) => step === 5) ?? null;
    expect(resumeFrom?.loop.skipped).toEqual({ count: 2, steps: [2, 3], lossScale: 2 });
    const second = harness({ epochs: 4 }, { manner: { says }, resumeFrom });
    expect((await finish(second.request)).loop).toMatchObject({
      curve: summary.loop.curve,
      skipped: summary.loop.skipped,
    });
  });

  it('gives up on overflow only when the scale cannot become smaller', async () => {
    const overflows = (scaleOf: (step: number) => number) => (step: number) =>
      [
        ['grad_norm', Infinity],
        ['loss_scale/used', scaleOf(step)],
      ] as const;
    const falling = overflows((step) => Math.max(1, 2 ** (9 - step)));
    const { request, program } = harness({ epochs: 30 }, { manner: { says: falling } });
    const { divergence } = await finish(request);
    expect(divergence).toMatchObject({ step: 9, precision: 'float16', keptEpoch: 2 });
    expect(program.steps).toBeGreaterThanOrEqual(9);
    const enough = harness({ epochs: 3 }, { manner: { says: overflows(() => 2) } });
    expect((await finish(enough.request)).loop.skipped?.count).toBe(9);
  });

  it('refuses a split without validation rows', async () => {
    const { request } = harness({}, { rows: { train: 10, validation: 0 } });
    expect((await failure(request)).code).toBe('training/empty-part');
  });

  it('tells each step by seed and number which masks it draws', async () => {
    const seed = 3 * 2 ** 32 + 5;
    const { request, program } = harness({ epochs: 1 }, { seed });
    await finish(request);
    expect(program.fed.map((feeds) => feeds.get('dropout_key'))).toEqual(
      program.fed.map((_, index) => Int32Array.of(5, 3, index + 1, 0)),
    );
  });
});
