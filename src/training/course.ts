/**
 * One run's course: which step is next, what is in flight, the figures so far, and the best weights. The loop
 * decides when each of these happens.
 */
import { AppError } from '../core/errors';
import { Lifeline } from '../core/lifeline';
import { dropoutKey } from '../core/philox';
import type { Feeds, Program, Ticket } from '../engine/executor';
import { DROPOUT_KEY } from '../ops/DropoutMask/spec';
import type { Divergence, MetricPoint, TrainingConfig } from '../protocol/entities';
import { isSum } from './accumulate';
import type { Batch, BatchCursor } from './batch-source';
import { asDeviceLost } from './device-error';
import { diverged, notFinite } from './divergence';
import { Flight } from './flight';
import type { Arrival } from './flight';
import type { LoopEvent, LoopRequest, LoopSummary, Tensors } from './loop-types';
import { microBatches } from './micro-batch';
import { RunClock } from './run-clock';
import { Skips } from './skips';
import { batchFeeds, scalar, validate } from './validation';
import type { Validation } from './validation';

/** At most so many points of the training curve, each the mean loss since the one before. */
const CURVE_POINTS = 400;
/** Gradient norms that a diagnosis names. */
const NORMS = 5;

export function stepsPerEpoch(rows: number, batchSize: number): number {
  return Math.ceil(rows / batchSize);
}

export class Course {
  readonly stepsTotal: number;
  step = 0;
  /** The last step whose figures are in: nothing after it counts. */
  counted = 0;
  finished = false;
  readonly #request: LoopRequest;
  readonly #perEpoch: number;
  readonly #pointEvery: number;
  readonly #flight: Flight;
  readonly #skips = new Skips();
  /** State entries that outlive a step. */
  readonly #kept: readonly string[];
  readonly #untilLost = new Lifeline();
  #gone: AppError | null = null;
  readonly #clock: RunClock;
  #gradNorms: number[] = [];
  readonly #curve: MetricPoint[] = [];
  #fresh: MetricPoint[] = [];
  #best: { tensors: Tensors | null; loss: number; epoch: number; metric: number } | null = null;
  #bestCounts: { correct?: number; total?: number } = {};
  #withoutGain = 0;
  /** Loss sums since the last point of the training curve. */
  #lossSum = 0;
  #lossWeight = 0;
  /** When the clock was last started. */
  #secondsBefore = 0;
  #firstStep = 0;
  /** Since the clock was started: what validation took of its time. */
  #validationSeconds = 0;

  constructor(request: LoopRequest) {
    const { training, rows } = request;
    if (rows.train === 0 || rows.validation === 0) {
      const part = rows.train === 0 ? 'training' : 'validation';
      throw new AppError(
        'training/empty-part',
        `The ${part} part has no rows. Give it a larger share in the split, or add rows.`,
        { part },
      );
    }
    this.#request = request;
    this.#clock = new RunClock(request.lookingSeconds ?? 0);
    this.#secondsBefore = request.lookingSeconds ?? 0;
    this.#perEpoch = stepsPerEpoch(rows.train, training.batchSize);
    this.stepsTotal = this.#perEpoch * training.epochs;
    this.#pointEvery = Math.max(1, Math.ceil(this.stepsTotal / CURVE_POINTS));
    void request.lost.then((reason) => {
      this.#gone = new AppError(
        'engine/device-lost',
        `The device went away while training: ${reason} The run can go on from its last checkpoint.`,
        { reason },
      );
      this.#untilLost.cut(this.#gone);
    });
    this.#kept = request.state.specs.map(({ name }) => name).filter((name) => !isSum(name));
    this.#flight = new Flight(this.guard, (batch) => request.batches.release(batch));
  }

  get epoch(): number {
    return Math.ceil(this.step / this.#perEpoch);
  }

  get atEpochEnd(): boolean {
    return this.step % this.#perEpoch === 0;
  }

  get outOfPatience(): boolean {
    const { patience } = this.#request.training;
    return patience > 0 && this.#withoutGain >= patience;
  }

  get outOfTime(): boolean {
    const { maxSeconds } = this.#request.training;
    // A limit is for learning: what the body needed to look is known only when it is over.
    const learning = this.seconds - (this.#request.lookingSeconds ?? 0);
    return maxSeconds !== null && learning >= maxSeconds;
  }

  get seconds(): number {
    return this.#clock.seconds;
  }

  get hasNews(): boolean {
    return this.#fresh.length > 0;
  }

  get readingDue(): boolean {
    return this.#flight.readingDue;
  }

  /**
   * Rejects when the device is lost: calls on a lost device may hang for ever, or seem to succeed and do nothing, so
   * what came back counts only where the device is still there afterwards.
   */
  readonly guard = async <T>(promise: Promise<T>): Promise<T> => {
    let value: T;
    try {
      value = await this.#untilLost.until(promise);
    } catch (error) {
      throw this.#gone ?? asDeviceLost(error);
    }
    if (this.#gone) throw this.#gone;
    return value;
  };

  *cursors(): Generator<BatchCursor> {
    for (let step = this.step; step < this.stepsTotal; step++) {
      const epoch = Math.floor(step / this.#perEpoch);
      yield { part: 'train', epoch, index: step % this.#perEpoch };
    }
  }

  async begin(): Promise<void> {
    const { resumeFrom, state } = this.#request;
    this.#clock.start();
    if (resumeFrom === null) return;
    const { loop } = resumeFrom;
    if (resumeFrom.best !== null) {
      await state.write(resumeFrom.best);
      await state.snapshot();
    }
    await state.write(resumeFrom.state);
    this.step = resumeFrom.step;
    this.counted = resumeFrom.step;
    this.#firstStep = resumeFrom.step;
    this.#curve.push(...loop.curve);
    this.#withoutGain = loop.epochsWithoutGain;
    this.#clock.begin(loop.seconds);
    this.#secondsBefore = loop.seconds;
    this.#lossSum = loop.epochLossSum;
    this.#lossWeight = loop.epochLossWeight;
    this.#skips.resume(loop.skipped);
    if (loop.bestLoss !== null) {
      const { bestLoss: loss, bestEpoch: epoch, bestMetric } = loop;
      this.#best = { tensors: resumeFrom.best, loss, epoch, metric: bestMetric ?? NaN };
      this.#countBest(this.#request.rows.validation);
    }
    // Checkpoints are taken after an epoch's validation, so one at its end may be the end of the run.
    this.finished = this.outOfPatience || (this.atEpochEnd && this.outOfTime);
  }

  /** Queues one step, micro-batch by micro-batch where it has several, and waits until another may be queued. */
  async submit(batch: Batch): Promise<void> {
    const { training, train, micro, learningRate, control } = this.#request;
    const step = this.step + 1;
    const began = performance.now();
    const scalars = new Map<string, Float32Array>([
      ['learning_rate', Float32Array.of(learningRate(step))],
      ['step', Float32Array.of(step)],
      ['clip_norm', Float32Array.of(training.clipNorm)],
    ]);
    const epoch = Math.floor((step - 1) / this.#perEpoch);
    for (const [name, values] of this.#request.rates?.(epoch) ?? []) scalars.set(name, values);
    // The step before it would otherwise run in the time of the one that is timed.
    if (control.profiling.active) await this.settleAll();
    let ticket: Ticket;
    if (micro) {
      const parts = microBatches(batch, training.accumulate ?? 1);
      control.profiling.microBatches = parts.length;
      for (const [index, part] of parts.entries()) {
        const feeds = this.#rowFeeds(part, step, index);
        feeds.set('micro_step', Float32Array.of(index));
        // One micro-batch stands for all of them: they are alike, and the end of the step is short.
        if (index === 0) await this.#run(micro, feeds);
        else micro.step(feeds);
      }
      ticket = train.step(scalars);
    } else {
      ticket = await this.#run(train, new Map([...this.#rowFeeds(batch, step, 0), ...scalars]));
    }
    this.step = step;
    await this.#flight.depart({ step, ticket, batch });
    this.#clock.stepTook(performance.now() - began);
  }

  /** Timed kernel by kernel where that was asked for. */
  async #run(program: Program, feeds: Feeds): Promise<Ticket> {
    const { profiling } = this.#request.control;
    return profiling.active ? this.guard(profiling.step(program, feeds)) : program.step(feeds);
  }

  /** Rows, and what their dropout masks depend on: they are those of the whole batch however it is divided. */
  #rowFeeds(part: Batch, step: number, index: number): Map<string, Float32Array | Int32Array> {
    return batchFeeds(part).set(DROPOUT_KEY, dropoutKey(this.#request.seed, step, index));
  }

  async settleAll(): Promise<void> {
    await this.#flight.landAll();
    await this.readFigures();
  }

  /** Takes in what the finished steps computed. */
  async readFigures(): Promise<void> {
    for (const arrival of await this.#flight.read()) await this.#record(arrival);
  }

  async #record({ step, result }: Arrival): Promise<void> {
    const done = scalar(result, 'step_done');
    if (done !== step) {
      throw new AppError(
        'engine/device-lost',
        `The device dropped step ${step} without an error. The run can go on from its last checkpoint.`,
        { step, done, reason: 'The device dropped a step without an error.' },
      );
    }
    const numerator = scalar(result, 'loss_numerator');
    const weight = scalar(result, 'loss_denominator');
    const gradNorm = scalar(result, 'grad_norm');
    if (this.#skips.take(step, result)) await this.#diverge('loss', step);
    this.counted = step;
    if (Number.isFinite(gradNorm)) this.#gradNorms = [...this.#gradNorms, gradNorm].slice(-NORMS);
    // In float16 a loss may overflow without an end: the step was skipped, and its rows count for nothing.
    if (Number.isFinite(numerator)) {
      this.#lossSum += numerator;
      this.#lossWeight += weight;
    }
    const endsEpoch = step % this.#perEpoch === 0;
    if ((step % this.#perEpoch) % this.#pointEvery === 0 || endsEpoch) {
      this.#addPoint({
        step,
        epoch: Math.ceil(step / this.#perEpoch),
        series: 'training',
        // A batch whose rows all have weight 0 teaches nothing and has no loss.
        loss: this.#lossWeight === 0 ? 0 : this.#lossSum / this.#lossWeight,
        learningRate: this.#request.learningRate(step),
        gradNorm,
      });
      this.#lossSum = 0;
      this.#lossWeight = 0;
    }
  }

  /** Optimisers skip the update of a step that is not finite, so State still holds the weights before it. */
  async #diverge(what: Divergence['what'], step: number): Promise<never> {
    const { training, checkpoint, state, learningRate } = this.#request;
    // Without a good epoch the weights before it are all there is, where they are finite.
    if (this.#best === null && checkpoint !== null) {
      const tensors = await this.guard(state.read(this.#kept));
      if (notFinite(tensors) === null) await this.#keep(step - 1, tensors);
    }
    throw diverged({
      step,
      what,
      learningRate: learningRate(step),
      gradNorms: this.#gradNorms,
      clipNorm: training.clipNorm,
      precision: this.#skips.scaled ? 'float16' : 'float32',
      unscaled: this.#request.unscaled ?? [],
      keptEpoch: this.#best?.epoch ?? null,
    });
  }

  async validateEpoch(): Promise<Validation> {
    const { state, rows, training, reading, batches } = this.#request;
    const started = this.seconds;
    const count = stepsPerEpoch(rows.validation, training.batchSize);
    const { accumulate: parts = 1 } = training;
    const program = this.#request.validate;
    const result = await validate(program, batches, count, reading, this.guard, parts);
    const { loss, metric, correct, total } = result;
    const epoch = this.epoch;
    // float16 may overflow where the weights are sound; then the epoch is merely no better than those before it.
    if (!Number.isFinite(loss) && !this.#skips.scaled) await this.#diverge('validation', this.step);
    this.#addPoint({ step: this.step, epoch, series: 'validation', loss, metric });
    if (Number.isFinite(loss) && (this.#best === null || loss < this.#best.loss)) {
      const tensors = await this.#sound();
      await this.guard(state.snapshot());
      this.#best = { tensors, loss, epoch, metric };
      this.#bestCounts = reading.kind === 'regression' ? { total } : { correct, total };
      this.#withoutGain = 0;
    } else {
      this.#withoutGain++;
    }
    this.#validationSeconds += this.seconds - started;
    return result;
  }

  async save(): Promise<LoopEvent> {
    await this.settleAll();
    await this.#write(this.step);
    return { type: 'checkpoint', step: this.step };
  }

  async #write(step: number): Promise<void> {
    if (this.#request.checkpoint !== null) await this.#keep(step, await this.#sound());
  }

  /** The State as it is, which must be finite to be kept in any way. */
  async #sound(): Promise<Tensors> {
    const tensors = await this.guard(this.#request.state.read(this.#kept));
    if (notFinite(tensors) !== null) await this.#diverge('weights', this.step);
    return tensors;
  }

  async #keep(step: number, state: Tensors): Promise<void> {
    await this.#request.checkpoint?.save({
      step,
      epoch: Math.floor(step / this.#perEpoch),
      state,
      best: this.#best?.tensors ?? null,
      loop: this.#loopState(),
    });
  }

  points(): LoopEvent {
    const points = this.#fresh;
    this.#fresh = [];
    const steps = this.step - this.#firstStep;
    const pace = steps === 0 ? 0 : (this.seconds - this.#secondsBefore) / steps;
    return {
      type: 'points',
      points,
      step: this.step,
      secondsLeft: pace * (this.stepsTotal - this.step),
      examplesPerSecond: this.#examplesPerSecond(),
      stepMs: steps === 0 ? 0 : (this.#trainingSeconds() / steps) * 1000,
      ...this.#skips.record(),
    };
  }

  stopClock(): void {
    this.#clock.stop();
    this.#secondsBefore = this.#clock.seconds;
    this.#firstStep = this.step;
    this.#validationSeconds = 0;
  }

  startClock(): void {
    this.#clock.start();
  }

  close(): void {
    this.#clock.stop();
  }

  /** Puts the best weights back and reads them: the run's result. */
  async end(training: TrainingConfig): Promise<LoopSummary> {
    await this.settleAll();
    // Stopped within the first epoch: the weights of this moment are the best there are.
    if (this.#best === null) await this.validateEpoch();
    const short = this.step < training.epochs * this.#perEpoch;
    return this.#result(this.#request.control.stopWanted && short ? 'stopped' : 'done');
  }

  /** What is left when the numbers ran away; null where no epoch was good. */
  async endDiverged(divergence: Divergence): Promise<LoopSummary | null> {
    if (this.#best === null) return null;
    this.step = this.counted;
    return { ...(await this.#result('stopped')), divergence };
  }

  async #result(status: LoopSummary['status']): Promise<LoopSummary> {
    const { state } = this.#request;
    const best = this.#best;
    if (best === null) throw new AppError('internal/invariant', 'A run ended without a result.');
    await this.guard(state.restore());
    const weights = await this.guard(state.read(this.#kept));
    const broken = notFinite(weights);
    if (broken !== null) {
      throw new AppError('internal/invariant', `"${broken}" of the best weights is not finite.`);
    }
    return {
      status,
      loop: this.#loopState(),
      stepsDone: this.step,
      seconds: this.seconds,
      examplesPerSecond: this.#examplesPerSecond(),
      best: { epoch: best.epoch, loss: best.loss, metric: best.metric, ...this.#bestCounts },
      state: weights,
    };
  }

  #examplesPerSecond(): number {
    const seconds = this.#trainingSeconds();
    const examples = (this.step - this.#firstStep) * this.#request.training.batchSize;
    return seconds === 0 ? 0 : examples / seconds;
  }

  /** Seconds spent on steps, with the waits for their batches, since the clock was started. */
  #trainingSeconds(): number {
    return Math.max(0, this.seconds - this.#secondsBefore - this.#validationSeconds);
  }

  #addPoint(point: MetricPoint): void {
    this.#curve.push(point);
    this.#fresh.push(point);
  }

  #countBest(total: number): void {
    const metric = this.#best?.metric ?? 0;
    this.#bestCounts =
      this.#request.reading.kind === 'regression'
        ? { total }
        : { correct: Math.round(metric * total), total };
  }

  #loopState(): LoopSummary['loop'] {
    const best = this.#best;
    return {
      curve: [...this.#curve],
      bestLoss: best?.loss ?? null,
      bestEpoch: best?.epoch ?? 0,
      bestMetric: best?.metric ?? null,
      epochsWithoutGain: this.#withoutGain,
      seconds: this.seconds,
      epochLossSum: this.#lossSum,
      epochLossWeight: this.#lossWeight,
      ...this.#skips.record(),
    };
  }
}
