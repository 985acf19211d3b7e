/** A graph as one WebAssembly module over the executor's memory: compiled, run and read. */
import { AppError, invariant } from '../../../core/errors';
import { sizeOf } from '../../../core/dtype';
import type { Graph, Tensor } from '../../../onnx/graph';
import { numbersOf } from '../../../ops/value';
import type { StepProfile } from '../../../protocol/profile';
import type { CompileOptions, Feed, Feeds, Program, Ticket } from '../../executor';
import { checkFeeds } from '../../analysis';
import type { ConcreteType } from '../../analysis';
import type { WasmState } from '../state';
import { assemble, counterBytes, scratchBytes } from './assemble';
import { lower } from './lowering';
import type { Lowered } from './lowering';
import type { LinearMemory } from './memory';
import { paddedBytes, planMemory, schedule } from './plan';
import type { Kernel, StepPlan, Unit } from './plan';
import { anchoredKernel, loopKernel } from './pointwise';
import { profileOf } from './profile';
import type { RunStep } from './signals';
import type { ThreadPool } from './threads';
import { fillTable } from './update';
import type { Buffer, View } from './view';
import { addressOf } from './view';

export interface SimdEngine {
  readonly memory: LinearMemory;
  readonly pool: ThreadPool;
  /** Whether products are summed with fused multiply-add. */
  readonly fused: boolean;
}

/** @throws Unsupported where an operator has no kernel here. */
export async function compileSimd(
  graph: Graph,
  state: WasmState,
  options: CompileOptions,
  engine: SimdEngine,
): Promise<SimdProgram> {
  const { memory, pool, fused } = engine;
  const lowered = lower(graph, (name) => state.address(name), options);
  const { plan } = lowered;
  const fixedBytes = plan.fixedBuffers.reduce(
    (sum, { elements }) => sum + paddedBytes(elements),
    0,
  );
  const { phases, bytes: arenaBytes, kernels, unitOf } = scheduled(plan);
  const own = scratchBytes(kernels);
  const counters = counterBytes(phases.length);
  const bytes = fixedBytes + arenaBytes + counters + own * pool.size;
  const region = memory.allocate(bytes);
  let next = region;
  for (const buffer of plan.fixedBuffers) {
    buffer.address = next;
    next += paddedBytes(buffer.elements);
  }
  const arena = next;
  for (const buffer of plan.buffers) if (buffer.address >= 0) buffer.address += arena;
  next += arenaBytes;
  const layout = { counters: next, scratch: next + counters, scratchBytes: own };
  const module = new WebAssembly.Module(
    assemble(phases, layout, {
      threads: pool.size,
      fused,
      maximumPages: memory.maximumPages,
      shared: memory.shared,
    }),
  );
  for (const { buffer, tensor } of lowered.constants) writeConstant(memory, buffer, tensor);
  if (lowered.update) {
    const table = fillTable(lowered.update);
    memory.ints(addressOf(lowered.update.table), table.length).set(table);
  }
  const { exports } = new WebAssembly.Instance(module, { env: { memory: memory.memory } });
  const id = await pool.add(module);
  return new SimdProgram({
    lowered,
    state,
    engine,
    id,
    region,
    bytes,
    kernels,
    unitOf,
    arena: { address: arena, bytes: arenaBytes },
    exports,
    phases: phases.length,
    counters: { address: layout.counters, words: counters / 4 },
    run: exports.run as RunStep,
  });
}

/** Kernels in the order of their phases, and the place of every buffer in the arena. */
function scheduled(plan: StepPlan) {
  const made = new Map(
    plan.units.map((unit): [Unit, Kernel] => [
      unit,
      unit.kernel ?? (unit.anchor ? anchoredKernel(plan, unit) : loopKernel(plan, unit)),
    ]),
  );
  const found = schedule(plan, (unit) => {
    const kernel = made.get(unit);
    return kernel && kernel.writes.length > 0 && kernel.chunks > 0 ? kernel : undefined;
  });
  const kernels = found.phases.flatMap((tasks) => tasks.flatMap((task) => task.kernels));
  const unitOf = new Map([...made].map(([unit, kernel]) => [kernel, unit]));
  return { phases: found.phases, kernels, unitOf, bytes: planMemory(plan, found) };
}

function writeConstant(memory: LinearMemory, { address }: Buffer, tensor: Tensor): void {
  const numbers = numbersOf(tensor);
  if (tensor.dtype === 'float32') memory.floats(address, numbers.length).set(numbers);
  // Ends of slices and the like reach to the limits of 64 bits; they are never computed with.
  else memory.ints(address, numbers.length).set(numbers.map((value) => clamped(value)));
}

const clamped = (value: number): number => Math.max(-0x80000000, Math.min(0x7fffffff, value));

interface Parts {
  readonly lowered: Lowered;
  readonly state: WasmState;
  readonly engine: SimdEngine;
  readonly id: number;
  readonly region: number;
  readonly bytes: number;
  readonly kernels: readonly Kernel[];
  readonly unitOf: ReadonlyMap<Kernel, Unit>;
  readonly arena: { readonly address: number; readonly bytes: number };
  readonly exports: WebAssembly.Exports;
  readonly phases: number;
  readonly counters: { readonly address: number; readonly words: number };
  readonly run: RunStep;
}

export class SimdProgram implements Program {
  readonly planId: string;
  readonly #parts: Parts;
  readonly #feeds: readonly (ConcreteType & { readonly name: string; readonly view: View })[];
  #steps = 0;
  #runMs = 0;
  #disposed = false;

  constructor(parts: Parts) {
    const { lowered, engine } = parts;
    this.#parts = parts;
    this.#feeds = lowered.feeds.map(({ name, view }) => ({
      name,
      view,
      ...lowered.analysis.type(name),
    }));
    this.planId = simdPlanId(engine);
  }

  get stats(): Readonly<Record<string, number>> {
    const { bytes, kernels, phases } = this.#parts;
    return { steps: this.#steps, runMs: this.#runMs, bytes, kernels: kernels.length, phases };
  }

  step(feeds: Feeds): Ticket {
    invariant(!this.#disposed, 'A step was asked of a Program that is disposed.');
    checkFeeds(feeds, this.#feeds);
    const { state } = this.#parts;
    const found = state.runNow(() => this.#run((name) => feeds.get(name)));
    if (found !== undefined) {
      const done = settle(found);
      return { read: () => done };
    }
    // Something is still under way on this State; the caller may use its arrays again at once.
    const copies = new Map(this.#feeds.map(({ name }) => [name, feeds.get(name)?.slice()]));
    const result = state.enqueue(() => this.#run((name) => copies.get(name)));
    // A failure belongs to whoever reads the ticket; without a reader it must not be called unhandled.
    result.catch(() => undefined);
    return { read: () => result };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const { state, engine, id, region } = this.#parts;
    void state.enqueue(() => {
      engine.pool.remove(id);
      engine.memory.free(region);
    });
  }

  /** The same step, kernel after kernel on this thread: pieces write their own elements, whoever does them. */
  async profile(feeds: Feeds): Promise<{ ticket: Ticket; profile: StepProfile }> {
    invariant(!this.#disposed, 'A step was asked of a Program that is disposed.');
    checkFeeds(feeds, this.#feeds);
    const { state, lowered, kernels, unitOf, arena, engine } = this.#parts;
    const copies = new Map(this.#feeds.map(({ name }) => [name, feeds.get(name)?.slice()]));
    const { outputs, micros, stepMicros } = await state.enqueue(() => {
      const started = performance.now();
      let times: number[] = [];
      const found = this.#run(
        (name) => copies.get(name),
        () => (times = this.#timed()),
      );
      return { outputs: found, micros: times, stepMicros: (performance.now() - started) * 1000 };
    });
    const { specs } = state;
    const program = {
      lowered,
      kernels,
      unitOf,
      specs,
      arena: arena.address,
      arenaBytes: arena.bytes,
    };
    const timed = { planId: this.planId, threads: engine.pool.size, stepMicros, micros };
    const ticket: Ticket = { read: () => Promise.resolve(outputs) };
    return { ticket, profile: profileOf(program, timed) };
  }

  /** Microseconds of each kernel. */
  #timed(): number[] {
    const { kernels, exports } = this.#parts;
    (exports.prepare as () => void)();
    return kernels.map(({ chunks }, index) => {
      const run = exports[`kernel${index}`] as (chunk: number) => void;
      const started = performance.now();
      for (let chunk = 0; chunk < chunks; chunk++) run(chunk);
      return (performance.now() - started) * 1000;
    });
  }

  #run(
    feed: (name: string) => Feed | undefined,
    compute = (): void => this.#parts.engine.pool.run(this.#parts.id, this.#parts.run),
  ): Map<string, Float32Array> {
    const { lowered, engine, counters } = this.#parts;
    const { memory } = engine;
    const started = performance.now();
    for (const { name, view } of this.#feeds) {
      const data = feed(name);
      invariant(data !== undefined, `"${name}" was not fed.`);
      if (data instanceof Float32Array) memory.floats(addressOf(view), data.length).set(data);
      else memory.ints(addressOf(view), data.length).set(data);
    }
    this.#correct(feed);
    memory.ints(counters.address, counters.words).fill(0);
    compute();
    this.#steps++;
    const outputs = new Map(
      [...lowered.outputs].map(([name, view]) => [name, this.#numbers(view)]),
    );
    this.#runMs += performance.now() - started;
    return outputs;
  }

  /** Adam's corrections, which need powers of the step's number. */
  #correct(feed: (name: string) => Feed | undefined): void {
    const { lowered, engine } = this.#parts;
    if (lowered.update === undefined) return;
    const { optimiser, host } = lowered.update;
    const { beta1, beta2 } = optimiser.settings;
    const step = feed(optimiser.step)?.[0] ?? 0;
    engine.memory
      .floats(addressOf(host), 2)
      .set([1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)]);
  }

  #numbers(view: View): Float32Array {
    const { memory } = this.#parts.engine;
    const size = sizeOf(view.dims);
    if (view.kind === 'float') return memory.floats(addressOf(view), size).slice();
    return Float32Array.from(memory.ints(addressOf(view), size));
  }
}

function settle<T>(found: { readonly value: T } | { readonly error: unknown }): Promise<T> {
  if ('value' in found) return Promise.resolve(found.value);
  const { error } = found;
  const failed = Promise.reject<T>(
    error instanceof Error ? error : new AppError('engine/step', String(error)),
  );
  failed.catch(() => undefined);
  return failed;
}

export function simdPlanId({ pool, fused }: SimdEngine): string {
  return `wasm/simd-1${fused ? '-fma' : ''}/threads-${pool.size}`;
}
