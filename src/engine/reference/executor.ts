/** The executor that is right before it is fast: every step is one run of the reference interpreter. */
import { AppError } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { Graph } from '../../onnx/graph';
import type { Value } from '../../ops/define';
import type { StepProfile } from '../../protocol/profile';
import { withShapes } from '../../ops/infer-shapes';
import { isStatic, shapeText } from '../../ops/shapes';
import type {
  CompileOptions,
  Executor,
  Feeds,
  Program,
  State,
  StateSpec,
  Ticket,
} from '../executor';
import { evaluateReference } from './evaluate';
import { Recording } from './recording';
import { runGraph } from './run-graph';
import type { Watch } from './run-graph';

const REFERENCE_PLAN = 'reference-1';

class ReferenceState implements State {
  readonly specs: readonly StateSpec[];
  #values = new Map<string, Float32Array>();
  #kept: Map<string, Float32Array> | null = null;

  constructor(specs: readonly StateSpec[]) {
    this.specs = specs;
    for (const { name, dims } of specs) this.#values.set(name, new Float32Array(sizeOf(dims)));
  }

  get(name: string): Float32Array {
    const value = this.#values.get(name);
    if (!value) {
      throw new AppError('engine/state', `The state holds no "${name}".`, { name });
    }
    return value;
  }

  set(name: string, values: ArrayLike<number>): void {
    const held = this.get(name);
    if (held.length !== values.length) {
      throw new AppError(
        'engine/state',
        `"${name}" holds ${held.length} values, but ${values.length} were to be written.`,
        { name, expected: held.length, found: values.length },
      );
    }
    held.set(values);
  }

  read(names?: readonly string[]): Promise<Map<string, Float32Array>> {
    const wanted = names ?? this.specs.map(({ name }) => name);
    return Promise.resolve(new Map(wanted.map((name) => [name, this.get(name).slice()])));
  }

  write(values: ReadonlyMap<string, Float32Array>): Promise<void> {
    for (const [name, array] of values) this.set(name, array);
    return Promise.resolve();
  }

  snapshot(): Promise<void> {
    this.#kept = new Map([...this.#values].map(([name, array]) => [name, array.slice()]));
    return Promise.resolve();
  }

  restore(): Promise<void> {
    if (!this.#kept) {
      throw new AppError('engine/state', 'There is no snapshot to go back to.');
    }
    for (const [name, array] of this.#kept) this.set(name, array);
    return Promise.resolve();
  }

  dispose(): void {
    this.#values.clear();
    this.#kept = null;
  }
}

class ReferenceProgram implements Program {
  readonly #graph: Graph;
  readonly #state: ReferenceState;
  readonly #options: CompileOptions;
  #steps = 0;

  constructor(graph: Graph, state: ReferenceState, options: CompileOptions) {
    this.#state = state;
    this.#options = options;
    const wanted = new Set([...options.outputs, ...options.updates.values()]);
    const typed = withShapes(graph);
    this.#graph = { ...typed, outputs: typed.outputs.filter(({ name }) => wanted.has(name)) };
    const known = new Set(this.#graph.outputs.map(({ name }) => name));
    for (const name of wanted) {
      if (!known.has(name)) {
        throw new AppError('engine/compile', `The graph has no output "${name}".`, { name });
      }
    }
    for (const { name, dims } of this.#graph.inputs) {
      if (!isStatic(dims)) {
        throw new AppError(
          'engine/compile',
          `The input "${name}" has the shape ${shapeText(dims)}; a program needs fixed shapes.`,
          { name },
        );
      }
    }
  }

  get stats(): Readonly<Record<string, number>> {
    return { nodes: this.#graph.nodes.length, steps: this.#steps };
  }

  step(feeds: Feeds): Ticket {
    return this.#step(feeds);
  }

  profile(feeds: Feeds): Promise<{ ticket: Ticket; profile: StepProfile }> {
    const recording = new Recording(this.#graph, this.#state.specs, this.#options);
    const ticket = this.#step(feeds, recording.watch);
    return Promise.resolve({ ticket, profile: recording.end(REFERENCE_PLAN) });
  }

  #step(feeds: Feeds, watch?: Watch): Ticket {
    const held = new Set(this.#state.specs.map(({ name }) => name));
    const values = new Map<string, Value>();
    for (const { name, dtype, dims } of this.#graph.inputs) {
      const data = feeds.get(name) ?? (held.has(name) ? this.#state.get(name) : undefined);
      if (!data) {
        throw new AppError('engine/feed', `The input "${name}" was not fed.`, { name });
      }
      values.set(name, { dtype, dims: dims as number[], data: Float64Array.from(data) });
    }
    const results = runGraph(this.#graph, values, watch && { watch });
    for (const [name, output] of this.#options.updates) {
      const value = results.get(output);
      if (value) this.#state.set(name, value.data);
    }
    this.#steps++;
    const read = new Map<string, Float32Array>();
    for (const name of this.#options.outputs) {
      const value = results.get(name);
      if (value) read.set(name, Float32Array.from(value.data));
    }
    return { read: () => Promise.resolve(read) };
  }

  dispose(): void {
    this.#steps = 0;
  }
}

export function createReferenceExecutor(): Executor {
  return {
    name: 'reference',
    planId: REFERENCE_PLAN,
    // It cannot be lost: there is no device.
    lost: new Promise<string>(() => undefined),
    createState: (specs) => Promise.resolve(new ReferenceState(specs)),
    compile: (graph, state, options) => {
      if (!(state instanceof ReferenceState)) {
        throw new AppError('engine/state', 'This state belongs to another executor.');
      }
      return Promise.resolve(new ReferenceProgram(graph, state, options));
    },
    // Asynchronous, so that what a kernel refuses is a rejection here as elsewhere.
    evaluate: async (graph, inputs) => Promise.resolve(evaluateReference(graph, inputs)),
    dispose: () => undefined,
  };
}
