/** Graphs on the emitted WebAssembly alone, without onnxruntime behind it: what tests of its kernels run on. */
import { isFloat } from '../../src/core/dtype';
import type { Feed, Program } from '../../src/engine/executor';
import { hasRelaxedSimd } from '../../src/engine/wasm/simd/assemble';
import { Unsupported } from '../../src/engine/wasm/simd/call';
import { LinearMemory } from '../../src/engine/wasm/simd/memory';
import { compileSimd } from '../../src/engine/wasm/simd/program';
import type { SimdEngine } from '../../src/engine/wasm/simd/program';
import { ThreadPool } from '../../src/engine/wasm/simd/threads';
import { WasmState } from '../../src/engine/wasm/state';
import type { Graph, Tensor } from '../../src/onnx/graph';
import type { Value } from '../../src/ops/define';
import { numbersOf } from '../../src/ops/value';

export function openEngine(threads = 1): SimdEngine {
  const memory = new LinearMemory(threads > 1);
  return { memory, pool: new ThreadPool(memory, threads), fused: hasRelaxedSimd() };
}

function feedOf({ dtype, dims, data }: Value | Tensor): Feed {
  const numbers = data instanceof Float64Array ? data : numbersOf({ dtype, dims, data } as Tensor);
  return isFloat(dtype) ? Float32Array.from(numbers) : Int32Array.from(numbers);
}

/** All outputs of a graph for these inputs, twice; undefined where an operator has no kernel. */
export async function runSimd(
  engine: SimdEngine,
  graph: Graph,
  feeds: ReadonlyMap<string, Value | Tensor>,
): Promise<Map<string, Float32Array> | undefined> {
  const state = new WasmState([], engine.memory);
  let program: Program;
  const outputs = graph.outputs.map(({ name }) => name);
  try {
    program = await compileSimd(graph, state, { updates: new Map(), outputs }, engine);
  } catch (cause) {
    if (cause instanceof Unsupported) return undefined;
    throw cause;
  }
  const fed = new Map(Array.from(feeds, ([name, value]) => [name, feedOf(value)] as const));
  const first = await program.step(fed).read();
  const second = await program.step(fed).read();
  for (const [name, values] of first) {
    const again = second.get(name);
    const same = values.every((value, index) => Object.is(value, again?.[index]));
    if (!same) throw new Error(`"${name}" did not repeat.`);
  }
  program.dispose();
  state.dispose();
  return second;
}

/** max |found − expected| / max(1, max |expected|); infinite where lengths or non-finite numbers differ. */
export function largestError(
  found: ArrayLike<number> | undefined,
  expected: ArrayLike<number>,
): number {
  if (found?.length !== expected.length) return Infinity;
  let error = 0;
  let most = 1;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [found[i] ?? NaN, expected[i] ?? NaN];
    if (Number.isFinite(b)) {
      error = Math.max(error, Math.abs(a - b));
      if (!Number.isFinite(a)) return Infinity;
      most = Math.max(most, Math.abs(b));
    } else if (!Object.is(a, b)) return Infinity;
  }
  return error / most;
}
