/**
 * Long trials of the executors, called by tests/long/training.test.ts: many steps on a device, of which some are done
 * once more by the reference interpreter from a copy of the State.
 */
import { BENCH_MODELS, BUDGET_MODELS, batchOf, feedsOf, trainingOf } from '../../../bench/models';
import type { Model, ModelName } from '../../../bench/models';
import type { Executor, Program, State } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import type { TrainingGraph } from '../../../src/training/training-graph';

type Device = 'webgpu' | 'wasm';

/** The bench's models as they are really trained: AdamW with clipping, and batch norms in the CNN. */
function modelOf(name: ModelName): Model {
  const { optimiser, clipNorm } = BUDGET_MODELS[name];
  const model = { ...BENCH_MODELS[name], optimiser, clipNorm };
  return model.kind === 'cnn' ? { ...model, batchNorm: true } : model;
}

const TINY: Model = {
  title: 'a tiny MLP',
  kind: 'mlp',
  batch: 8,
  features: 4,
  hidden: [8],
  classes: 3,
  optimiser: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  learningRate: 0.001,
  clipNorm: 0,
};

async function openExecutor(device: Device): Promise<Executor> {
  if (device === 'webgpu') {
    const { createWebgpuExecutor } = await import('../../../src/engine/webgpu/executor');
    return createWebgpuExecutor();
  }
  const { createWasmExecutor } = await import('../../../src/engine/wasm/executor');
  return createWasmExecutor();
}

const OUTPUTS = ['loss_numerator', 'loss_denominator', 'grad_norm', 'step_done'];
/** Different batches that a run goes through again and again. */
const BATCHES = 8;

/** A model in training on one executor. */
class Trial {
  readonly #batches;
  #step = 0;

  private constructor(
    readonly executor: Executor,
    readonly model: Model,
    readonly state: State,
    readonly program: Program,
  ) {
    this.#batches = Array.from({ length: BATCHES }, (_, index) => batchOf(model, index));
  }

  static async open(executor: Executor, model: Model, training: TrainingGraph): Promise<Trial> {
    const { graph, stateSpecs, initialState, updates } = training;
    const state = await executor.createState(stateSpecs);
    await state.write(initialState);
    const program = await executor.compile(graph, state, { updates, outputs: OUTPUTS });
    return new Trial(executor, model, state, program);
  }

  feeds(step: number) {
    const batch = this.#batches[step % BATCHES];
    if (!batch) throw new Error('There is no batch.');
    return feedsOf(this.model, step, batch);
  }

  /** Up to the end of step number `step`. */
  async runTo(step: number): Promise<ReadonlyMap<string, Float32Array>> {
    let results = new Map<string, Float32Array>();
    while (this.#step < step) {
      this.#step++;
      const ticket = this.program.step(this.feeds(this.#step));
      // Results of every step are read, as a curve is drawn.
      results = await ticket.read();
    }
    return results;
  }

  dispose(): void {
    this.program.dispose();
    this.state.dispose();
  }
}

/** How far one step of a device lies from that of the reference. Each is a share; 0 is equality. */
export interface Difference {
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;
  /** Of all changes of the weights together. */
  readonly weights: number;
  /** The entry (moment or running statistic) that is worst, and how far it is off. */
  readonly worst: { readonly name: string; readonly share: number };
  readonly stepDone: number;
}

type Values = ReadonlyMap<string, Float32Array>;

const valueOf = (values: Values, name: string): Float32Array => {
  const found = values.get(name);
  if (!found) throw new Error(`There is no "${name}".`);
  return found;
};

const squares = (a: Float32Array, b?: Float32Array): number =>
  a.reduce((sum, value, index) => sum + (value - (b?.[index] ?? 0)) ** 2, 0);

function differenceOf(
  step: number,
  weights: ReadonlySet<string>,
  before: Values,
  after: { device: Values; reference: Values },
  results: { device: Values; reference: Values },
): Difference {
  let [off, moved] = [0, 0];
  let worst = { name: '', share: 0 };
  // Below a thousandth of the largest entry's spread there is only rounding: a bias of keys has no gradient at all.
  const spread = (name: string) => {
    const values = valueOf(after.reference, name);
    return Math.sqrt(squares(values) / values.length);
  };
  const kindOf = (name: string) => /\/[mv]$/.exec(name)?.[0] ?? '';
  const largest = new Map<string, number>();
  for (const name of after.reference.keys()) {
    if (weights.has(name)) continue;
    largest.set(kindOf(name), Math.max(largest.get(kindOf(name)) ?? 0, spread(name)));
  }
  for (const [name, reference] of after.reference) {
    const device = valueOf(after.device, name);
    const apart = squares(device, reference);
    if (weights.has(name)) {
      off += apart;
      moved += squares(reference, valueOf(before, name));
      continue;
    }
    const scale = Math.max(spread(name), (largest.get(kindOf(name)) ?? 0) * 1e-3);
    const share = scale === 0 ? apart : Math.sqrt(apart / reference.length) / scale;
    if (!(share <= worst.share)) worst = { name, share };
  }
  const share = (name: string) => {
    const [device = NaN] = valueOf(results.device, name);
    const [reference = NaN] = valueOf(results.reference, name);
    return Math.abs(device - reference) / Math.abs(reference);
  };
  return {
    step,
    loss: share('loss_numerator'),
    gradNorm: share('grad_norm'),
    weights: Math.sqrt(off / moved),
    worst,
    stepDone: valueOf(results.device, 'step_done')[0] ?? NaN,
  };
}

/** Trains, and at each of `steps` does the step on the reference as well. */
async function compare(
  device: Device,
  name: ModelName,
  steps: readonly number[],
): Promise<readonly Difference[]> {
  const model = modelOf(name);
  const training = trainingOf(model);
  const executor = await openExecutor(device);
  const trial = await Trial.open(executor, model, training);
  const oracle = await Trial.open(createReferenceExecutor(), model, training);
  const differences: Difference[] = [];
  for (const step of steps) {
    await trial.runTo(step - 1);
    const before = await trial.state.read();
    await oracle.state.write(before);
    const results = {
      device: await trial.runTo(step),
      reference: await oracle.program.step(oracle.feeds(step)).read(),
    };
    const after = { device: await trial.state.read(), reference: await oracle.state.read() };
    differences.push(differenceOf(step, new Set(training.weights), before, after, results));
  }
  trial.dispose();
  executor.dispose();
  return differences;
}

/** Two runs from the beginning, each compiled anew on an executor of its own: true where all bits are equal. */
async function repeats(device: Device, name: ModelName, steps: number) {
  const model = modelOf(name);
  const training = trainingOf(model);
  const ends: Values[] = [];
  const ids: string[] = [];
  for (let run = 0; run < 2; run++) {
    const executor = await openExecutor(device);
    const trial = await Trial.open(executor, model, training);
    await trial.runTo(steps);
    ends.push(await trial.state.read());
    ids.push(executor.planId);
    trial.dispose();
    executor.dispose();
  }
  const [first = new Map<string, Float32Array>(), second = new Map<string, Float32Array>()] = ends;
  const unequal = [...first].flatMap(([entry, values]) => {
    const again = new Uint32Array(valueOf(second, entry).slice().buffer);
    const bits = new Uint32Array(values.slice().buffer);
    return bits.every((word, index) => word === again[index]) ? [] : [entry];
  });
  const moved = [...first].filter(
    ([entry, values]) => squares(values, training.initialState.get(entry)) > 0,
  );
  return { unequal, ids, moved: moved.length, entries: first.size };
}

let enduring: Trial | undefined;

/** The tiny MLP goes on to step number `step`; the device memory that is held then. */
async function endure(device: Device, step: number) {
  if (!enduring) {
    const executor = await openExecutor(device);
    enduring = await Trial.open(executor, TINY, trainingOf(TINY));
  }
  const results = await enduring.runTo(step);
  const { executor, program } = enduring;
  const held =
    'memory' in executor && typeof executor.memory === 'object'
      ? { ...counts(executor.memory) }
      : {};
  return { done: results.get('step_done')?.[0], held, stats: { ...program.stats } };
}

/** What the webgpu executor says of its buffers. */
function counts(memory: object | null): Record<string, unknown> {
  if (memory === null || !('buffers' in memory) || !('bytes' in memory)) return {};
  return { buffers: memory.buffers, bytes: memory.bytes };
}

Object.assign(globalThis, { trials: { compare, repeats, endure } });
document.body.dataset.ready = 'true';
