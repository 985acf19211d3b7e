/**
 * A training graph on onnxruntime-web: all but the optimiser is one session. The update is a loop over typed
 * arrays, because as graph nodes it would copy every weight into the runtime and out again.
 */
import { Tensor } from 'onnxruntime-web/wasm';
import type { InferenceSession } from 'onnxruntime-web/wasm';
import { AppError, invariant } from '../../core/errors';
import { pruneUnused } from '../../onnx/compose';
import type { Graph, ValueInfo } from '../../onnx/graph';
import type { CompileOptions, Feeds, Program, Ticket } from '../executor';
import { isOptimiser, readOptimiser } from '../optimiser';
import type { OptimiserPlan } from '../optimiser';
import { analyse, checkFeeds, nodesFor } from '../analysis';
import type { Analysis, ConcreteType } from '../analysis';
import { openExpanded } from './evaluate';
import type { WasmState } from './state';
import { applyUpdate } from './update';

type FeedType = ConcreteType & { readonly name: string };

interface Parts {
  readonly planId: string;
  readonly session: InferenceSession;
  readonly state: WasmState;
  readonly options: CompileOptions;
  readonly plan: OptimiserPlan | undefined;
  readonly analysis: Analysis;
  readonly feeds: readonly FeedType[];
  /** Inputs and outputs of the session. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Splits the graph, writes the session's part as ONNX and opens it. */
export async function compileWasm(
  graph: Graph,
  state: WasmState,
  options: CompileOptions,
  planId: string,
): Promise<WasmProgram> {
  const analysis = analyse(graph);
  const optimiser = graph.nodes.find(isOptimiser);
  const plan = optimiser && readOptimiser(optimiser);
  const wanted = [...options.outputs, ...options.updates.values()];
  const early = nodesFor(graph.nodes, wanted).filter((node) => node !== optimiser);
  const gradients = plan?.weights.map(({ gradient }) => gradient) ?? [];
  const scale = plan?.lossScale === undefined ? [] : [plan.lossScale];
  const computed = new Set(early.flatMap(({ outputs }) => outputs));
  const outputs = [...new Set([...wanted, ...gradients, ...scale])].filter((name) =>
    computed.has(name),
  );
  const part = pruneUnused({
    ...graph,
    nodes: early,
    outputs: outputs.map((name): ValueInfo => ({ name, ...analysis.type(name) })),
    valueInfo: new Map(),
    metadata: new Map(),
  });
  const session = await openExpanded(part);
  const feeds = graph.inputs
    .filter(({ name }) => !state.has(name))
    .map(({ name }) => ({ name, ...analysis.type(name) }));
  return new WasmProgram({
    planId,
    session,
    state,
    options,
    plan,
    analysis,
    feeds,
    inputs: session.inputNames,
    outputs,
  });
}

export class WasmProgram implements Program {
  readonly #parts: Parts;
  #steps = 0;
  #updateMs = 0;
  #runMs = 0;
  #disposed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get planId(): string {
    return this.#parts.planId;
  }

  get stats(): Readonly<Record<string, number>> {
    return { steps: this.#steps, runMs: this.#runMs, updateMs: this.#updateMs };
  }

  step(feeds: Feeds): Ticket {
    invariant(!this.#disposed, 'A step was asked of a Program that is disposed.');
    const { feeds: wanted, state } = this.#parts;
    checkFeeds(feeds, wanted);
    // The caller may reuse its arrays at once, while this step still waits for its turn.
    const copies = new Map(wanted.map(({ name }) => [name, feeds.get(name)?.slice()]));
    const result = state.enqueue(() => this.#run(copies));
    // A failure belongs to whoever reads the ticket; without a reader it must not be called unhandled.
    result.catch(() => undefined);
    return { read: () => result };
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const { session, state } = this.#parts;
    state
      .enqueue(() => session.release())
      // Nobody waits for it; the worker's console keeps what would else be memory lost without a word.
      .catch((error: unknown) => console.warn('A session was not released.', error));
  }

  async #run(feeds: ReadonlyMap<string, Feed>): Promise<Map<string, Float32Array>> {
    const { session, state, plan, options, outputs } = this.#parts;
    const started = performance.now();
    const results = await session.run(this.#tensors(feeds), outputs);
    const computed = performance.now();
    this.#runMs += computed - started;
    const values = new Map<string, Float32Array>();
    for (const name of outputs) values.set(name, numbersOf(name, results[name]));
    if (plan !== undefined) this.#update(plan, feeds, values);
    const inPlace = new Set(plan?.weights.flatMap((weight) => weight.outputs));
    for (const [entry, value] of options.updates) {
      if (!inPlace.has(value)) state.array(entry).set(this.#value(value, feeds, values));
    }
    this.#updateMs += performance.now() - computed;
    this.#steps++;
    return new Map(
      options.outputs.map((name) => {
        const value = this.#value(name, feeds, values);
        return [name, values.get(name) === value ? value : Float32Array.from(value)];
      }),
    );
  }

  #tensors(feeds: ReadonlyMap<string, Feed>): Record<string, Tensor> {
    const { inputs, state, analysis } = this.#parts;
    const tensors: [string, Tensor][] = inputs.map((name) => {
      const { dims } = analysis.type(name);
      if (state.has(name)) return [name, new Tensor('float32', state.array(name), dims)];
      const data = feeds.get(name);
      invariant(data !== undefined, `The session reads "${name}", which is neither state nor fed.`);
      return [
        name,
        data instanceof Float32Array
          ? new Tensor('float32', data, dims)
          : new Tensor('int32', data, dims),
      ];
    });
    return Object.fromEntries(tensors);
  }

  #update(
    plan: OptimiserPlan,
    feeds: ReadonlyMap<string, Feed>,
    values: Map<string, Float32Array>,
  ): void {
    const { state } = this.#parts;
    const scalar = (name: string): number => this.#value(name, feeds, values)[0] ?? 0;
    const step = scalar(plan.step);
    const gradients = plan.weights.map(({ gradient }) => {
      const found = values.get(gradient);
      invariant(found !== undefined, `The session did not give the gradient "${gradient}".`);
      return found;
    });
    const norm = applyUpdate(plan, gradients, (name) => state.array(name), {
      learningRate: scalar(plan.learningRate),
      clipNorm: scalar(plan.clipNorm),
      step,
      lossScale: plan.lossScale === undefined ? 1 : scalar(plan.lossScale),
      factors: plan.factors === undefined ? undefined : this.#value(plan.factors, feeds, values),
    });
    values.set(plan.gradNorm, Float32Array.of(norm));
    values.set(plan.stepDone, Float32Array.of(step));
    for (const { weight, moments, outputs } of plan.weights) {
      [weight, ...moments].forEach((name, index) => {
        const output = outputs[index];
        if (output) values.set(output, state.array(name));
      });
    }
  }

  #value(
    name: string,
    feeds: ReadonlyMap<string, Feed>,
    values: ReadonlyMap<string, Float32Array>,
  ): Float32Array | Int32Array {
    const found = values.get(name) ?? feeds.get(name);
    if (found !== undefined) return found;
    const { state, analysis } = this.#parts;
    if (state.has(name)) return state.array(name);
    const constant = analysis.constants.get(name);
    if (constant !== undefined) return Float32Array.from(constant.data, Number);
    throw new AppError('engine/value', `The value "${name}" was not computed.`, { name });
  }
}

type Feed = Float32Array | Int32Array | undefined;

function numbersOf(name: string, tensor: Tensor | undefined): Float32Array {
  if (tensor?.data instanceof Float32Array) return tensor.data;
  if (tensor === undefined || tensor.type === 'string') {
    throw new AppError('engine/value', `The session did not give "${name}".`, { name });
  }
  return Float32Array.from(tensor.data as Int32Array, Number);
}
