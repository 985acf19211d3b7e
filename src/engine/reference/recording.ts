/**
 * One step of the reference interpreter with each node timed by the wall clock. What it holds is told as it is held:
 * every value a float64 array of its own, freed after its last reader, beside the State in float32.
 */
import { BYTES_PER_ELEMENT, sizeOf } from '../../core/dtype';
import type { Graph, Node } from '../../onnx/graph';
import { readsOf } from '../../onnx/subgraphs';
import type { Value } from '../../ops/define';
import type {
  MemoryKind,
  ProfiledBuffer,
  ProfiledKernel,
  StepProfile,
} from '../../protocol/profile';
import type { CompileOptions, StateSpec } from '../executor';
import { isOptimiser, readOptimiser } from '../optimiser';
import { originsOf, rolesOf } from '../roles';
import type { Watch } from './run-graph';

const bytesOf = ({ data }: Pick<Value, 'data'>): number => data.length * BYTES_PER_ELEMENT.float64;

export class Recording {
  readonly #graph: Graph;
  readonly #specs: readonly StateSpec[];
  readonly #options: CompileOptions;
  readonly #roles: ReturnType<typeof rolesOf>;
  readonly #nodes: Node[] = [];
  readonly #kernels: ProfiledKernel[] = [];
  /** Bytes of each value that a node has read or made. */
  readonly #bytes = new Map<string, number>();
  readonly #began = performance.now();

  constructor(graph: Graph, specs: readonly StateSpec[], options: CompileOptions) {
    this.#graph = graph;
    this.#specs = specs;
    this.#options = options;
    this.#roles = rolesOf(graph);
  }

  readonly watch: Watch = (node, inputs, run) => {
    const started = performance.now();
    const outputs = run();
    const micros = (performance.now() - started) * 1000;
    const read = new Map<string, number>();
    node.inputs.forEach((name, index) => {
      const value = inputs[index];
      if (value) read.set(name, bytesOf(value));
    });
    const written = new Map<string, number>();
    node.outputs.forEach((name, index) => {
      const value = outputs[index];
      if (name !== '' && value) written.set(name, bytesOf(value));
    });
    for (const [name, bytes] of [...read, ...written]) this.#bytes.set(name, bytes);
    this.#nodes.push(node);
    this.#kernels.push({
      label: node.op,
      nodes: [node.name],
      origins: originsOf(this.#roles, [node.name]),
      phase: this.#roles.get(node.name)?.phase ?? 'forward',
      micros,
      bytesRead: sum(read.values()),
      bytesWritten: sum(written.values()),
      workgroups: 0,
      workgroupSize: 0,
    });
    return outputs;
  };

  end(planId: string): StepProfile {
    return {
      executor: 'reference',
      device: 'the reference interpreter',
      planId,
      clock: 'wall',
      stepMicros: (performance.now() - this.#began) * 1000,
      kernels: this.#kernels,
      memory: this.#memory(),
      // Every value has memory of its own.
      arenaBytes: 0,
      counts: { dispatches: this.#kernels.length, passes: 0, submits: 0, uploadedBytes: 0 },
    };
  }

  #memory(): ProfiledBuffer[] {
    const last = Math.max(0, this.#nodes.length - 1);
    const made = new Map<string, number>();
    const read = new Map<string, number>();
    this.#nodes.forEach((node, index) => {
      for (const name of node.outputs) made.set(name, index);
      for (const name of readsOf(node)) read.set(name, index);
    });
    const replacing = new Set(this.#options.updates.values());
    const kept = new Set([...this.#options.outputs, ...replacing]);
    const held = new Set(this.#specs.map(({ name }) => name));
    const fed = new Set(this.#graph.inputs.map(({ name }) => name));
    const gradients = new Set(
      this.#nodes
        .filter(isOptimiser)
        .flatMap((node) => readOptimiser(node).weights.map(({ gradient }) => gradient)),
    );
    const kindOf = (name: string): MemoryKind => {
      if (held.has(name) || replacing.has(name)) return 'state';
      if (gradients.has(name)) return 'gradient';
      if (made.has(name)) return 'activation';
      return fed.has(name) ? 'feed' : 'constant';
    };
    const state = this.#specs.map(({ name, dims }): ProfiledBuffer => ({
      name,
      kind: 'state',
      bytes: sizeOf(dims) * BYTES_PER_ELEMENT.float32,
      offset: null,
      from: 0,
      to: last,
    }));
    const values = [...this.#bytes].map(([name, bytes]): ProfiledBuffer => {
      const from = made.get(name) ?? 0;
      const kind = kindOf(name);
      const to = kept.has(name) || kind === 'constant' ? last : (read.get(name) ?? last);
      // A step works on a copy of the State.
      return {
        name: held.has(name) ? `${name}, float64` : name,
        kind,
        bytes,
        offset: null,
        from,
        to,
      };
    });
    return [...state, ...values];
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
