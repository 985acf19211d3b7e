/**
 * Training on the processor: whole steps as WebAssembly SIMD that is written for the graph at hand (simd/), and
 * onnxruntime-web for graphs with an operator that has no kernel there. Threads where the page is isolated. The
 * trainer of machines without a real GPU, and the fallback when a GPU is lost.
 */
import { invariant } from '../../core/errors';
import type { Graph, Tensor } from '../../onnx/graph';
import type { Tensors } from '../evaluate';
import type { CompileOptions, Executor, Program, State, StateSpec } from '../executor';
import { withHostMasks } from '../host-masks';
import { evaluateWasm } from './evaluate';
import { ortVersion, setUpOrt, trainingThreads } from './ort';
import { compileWasm } from './program';
import { hasRelaxedSimd } from './simd/assemble';
import { Unsupported } from './simd/call';
import { LinearMemory } from './simd/memory';
import { compileSimd, simdPlanId } from './simd/program';
import type { SimdEngine } from './simd/program';
import { ThreadPool } from './simd/threads';
import { WasmState } from './state';

export interface WasmOptions {
  /** Runs everything on onnxruntime-web, as an oracle of the emitted kernels. */
  readonly runtimeOnly?: boolean;
}

export class WasmExecutor implements Executor {
  readonly name = 'wasm';
  readonly planId: string;
  readonly threads: number;
  /** A processor is not lost while its page lives. */
  readonly lost = new Promise<string>(() => undefined);
  readonly #engine: SimdEngine;
  readonly #runtimeOnly: boolean;
  readonly #runtimeId: string;

  constructor(threads: number, { runtimeOnly = false }: WasmOptions = {}) {
    this.threads = threads;
    this.#runtimeOnly = runtimeOnly;
    const memory = new LinearMemory(threads > 1);
    const pool = new ThreadPool(memory, runtimeOnly ? 1 : threads);
    this.#engine = { memory, pool, fused: hasRelaxedSimd() };
    this.#runtimeId = `wasm/ort-${ortVersion()}/threads-${threads}`;
    this.planId = runtimeOnly ? this.#runtimeId : simdPlanId(this.#engine);
    setUpOrt(threads);
  }

  createState(specs: readonly StateSpec[]): Promise<State> {
    return Promise.resolve(new WasmState(specs, this.#engine.memory));
  }

  async compile(graph: Graph, state: State, options: CompileOptions): Promise<Program> {
    invariant(state instanceof WasmState, 'A Program and its State must be of one executor.');
    const masked = withHostMasks(graph);
    if (!this.#runtimeOnly) {
      try {
        return masked.around(await compileSimd(masked.graph, state, options, this.#engine));
      } catch (cause) {
        if (!(cause instanceof Unsupported)) throw cause;
      }
    }
    return masked.around(await compileWasm(masked.graph, state, options, this.#runtimeId));
  }

  evaluate(graph: Graph, inputs: Tensors): Promise<Map<string, Tensor>> {
    return evaluateWasm(graph, inputs);
  }

  dispose(): void {
    // Sessions belong to Programs; the runtime itself lives as long as its worker.
    this.#engine.pool.dispose();
  }
}

export function createWasmExecutor(
  threads = trainingThreads(),
  options: WasmOptions = {},
): Promise<WasmExecutor> {
  return Promise.resolve(new WasmExecutor(threads, options));
}
