/**
 * Which of several kernels is fastest on this very device: the whole step is timed with each, kernel by kernel, so
 * that everything is measured fused and in its place. What was learned is kept by family and sizes, and serves every
 * graph that has them. A State of its own is used; variants differ in the order of sums at most.
 */
import type { Graph } from '../../onnx/graph';
import type { CompileOptions, Feed, StateSpec } from '../executor';
import { isFloat, sizeOf } from '../../core/dtype';
import type { Choice } from '../plan/kernels';
import type { StepPlan } from '../plan/step-plan';
import type { StepCompiler } from './compiler';
import type { StepProgram } from './step-program';

/** The fastest variant by `keyOf` of the choice. */
export type Tunings = ReadonlyMap<string, string>;

/** Keeps what was measured beyond this page. */
export interface TuningMemory {
  recall(device: string): Promise<Tunings>;
  keep(device: string, tunings: Tunings): Promise<void>;
}

/** Profiled steps for each variant; the fastest counts, since noise only adds. */
const ROUNDS = 3;

export const keyOf = ({ family, sizes }: Pick<Choice, 'family' | 'sizes'>): string =>
  `${family} ${sizes.join('x')}`;

/** Choices of a plan that nothing is known of yet. */
export function openChoices({ choices }: StepPlan, known: Tunings): Map<string, Choice> {
  return new Map(
    choices
      .filter((choice) => choice.variants.length > 1 && !known.has(keyOf(choice)))
      .map((choice) => [keyOf(choice), choice]),
  );
}

export interface TuneRequest {
  readonly executor: StepCompiler;
  readonly graph: Graph;
  readonly specs: readonly StateSpec[];
  readonly options: CompileOptions;
  readonly known: Tunings;
  /** No further variant is begun after so long. */
  readonly milliseconds: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Gives what was learned beside `known`; variants that time did not allow for keep to the fixed rule. */
export async function tune(request: TuneRequest): Promise<Tunings> {
  const { executor, graph, specs, options, known, milliseconds, onProgress } = request;
  const started = performance.now();
  const state = await executor.createState(specs);
  const fastest = new Map<string, { readonly variant: string; readonly micros: number }>();
  try {
    const first = executor.plan(graph, state, options, (family, sizes) =>
      known.get(keyOf({ family, sizes })),
    );
    const open = openChoices(first, known);
    const rounds = Math.max(0, ...[...open.values()].map(({ variants }) => variants.length));
    for (let round = 0; round < rounds; round++) {
      if (performance.now() - started > milliseconds) break;
      onProgress?.(round, rounds);
      const variantOf = (family: string, sizes: readonly number[]): string | undefined => {
        const key = keyOf({ family, sizes });
        return known.get(key) ?? open.get(key)?.variants[round];
      };
      const plan = executor.plan(graph, state, options, variantOf);
      const program = await executor.realise(plan, state, options);
      try {
        const micros = await timeNodes(program);
        for (const [key, { variants }] of open) {
          const variant = variants[round];
          if (variant === undefined) continue;
          const nodes = plan.choices.filter((choice) => keyOf(choice) === key);
          const total = nodes.reduce((sum, { node }) => sum + (micros.get(node) ?? 0), 0);
          const best = fastest.get(key);
          if (!best || total < best.micros) fastest.set(key, { variant, micros: total });
        }
      } finally {
        program.dispose();
      }
    }
  } finally {
    state.dispose();
  }
  return new Map([...fastest].map(([key, { variant }]) => [key, variant]));
}

/** Time of the kernels that a node's lowering made, by node. */
async function timeNodes(program: StepProgram): Promise<Map<string, number>> {
  const { plan } = program;
  const feeds = new Map<string, Feed>(
    plan.wanted.map(({ name, dtype, dims }) => {
      const size = sizeOf(dims);
      return [name, isFloat(dtype) ? new Float32Array(size).fill(1) : new Int32Array(size)];
    }),
  );
  // Clocks speed up, and drivers finish compiling, at the first use.
  await program.step(feeds).read();
  const least = new Array<number>(plan.kernels.length).fill(Infinity);
  for (let round = 0; round < ROUNDS; round++) {
    const { profile } = await program.profile(feeds);
    profile.kernels.forEach(({ micros }, index) => {
      least[index] = Math.min(least[index] ?? Infinity, micros);
    });
  }
  const byNode = new Map<string, number>();
  plan.kernels.forEach(({ nodes }, index) => {
    const [node = ''] = nodes;
    byNode.set(node, (byNode.get(node) ?? 0) + (least[index] ?? 0));
  });
  return byNode;
}
