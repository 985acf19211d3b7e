/**
 * Training on the processor: onnxruntime-web's WASM with SIMD and, where the page is isolated, threads. The
 * trainer of machines without a real GPU, and the fallback when a GPU is lost.
 */
import { invariant } from '../../core/errors';
import type { Graph, Tensor } from '../../onnx/graph';
import type { Tensors } from '../evaluate';
import { withHostMasks } from '../host-masks';
import type { CompileOptions, Executor, Program, State, StateSpec } from '../executor';
import { evaluateWasm } from './evaluate';
import { ortVersion, setUpOrt, trainingThreads } from './ort';
import { compileWasm } from './program';
import { WasmState } from './state';

export class WasmExecutor implements Executor {
  readonly name = 'wasm';
  readonly planId: string;
  readonly threads: number;
  /** A processor is not lost while its page lives. */
  readonly lost = new Promise<string>(() => undefined);

  constructor(threads: number) {
    this.threads = threads;
    this.planId = `wasm/ort-${ortVersion()}/threads-${threads}`;
    setUpOrt(threads);
  }

  createState(specs: readonly StateSpec[]): Promise<State> {
    return Promise.resolve(new WasmState(specs));
  }

  async compile(graph: Graph, state: State, options: CompileOptions): Promise<Program> {
    invariant(state instanceof WasmState, 'A Program and its State must be of one executor.');
    const masked = withHostMasks(graph);
    return masked.around(await compileWasm(masked.graph, state, options));
  }

  evaluate(graph: Graph, inputs: Tensors): Promise<Map<string, Tensor>> {
    return evaluateWasm(graph, inputs);
  }

  dispose(): void {
    // Sessions belong to Programs, arrays to States; the runtime itself lives as long as its worker.
  }
}

export function createWasmExecutor(threads = trainingThreads()): Promise<WasmExecutor> {
  return Promise.resolve(new WasmExecutor(threads));
}
