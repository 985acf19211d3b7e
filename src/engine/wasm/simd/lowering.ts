/** A training or validating graph as a plan of kernels, or word of the operators that have none. */
import { AppError, invariant } from '../../../core/errors';
import { sizeOf } from '../../../core/dtype';
import type { Graph, Node, Tensor } from '../../../onnx/graph';
import { expandWhile } from '../../../ops/expand-graph';
import { lookupOp } from '../../../ops/registry';
import type { CompileOptions } from '../../executor';
import { isOptimiser, readOptimiser } from '../../optimiser';
import { analyse, nodesFor } from '../../analysis';
import type { Analysis } from '../../analysis';
import { Call, kindOf, Unsupported } from './call';
import type { LoweringTable, Values } from './call';
import { ALGEBRA } from './lower/algebra';
import { ATTENTION } from './lower/attention';
import { CONVOLUTION } from './lower/convolution';
import { ELEMENTWISE } from './lower/elementwise';
import { INDEXING } from './lower/indexing';
import { LOSSES } from './lower/losses';
import { copy, MOVEMENT } from './lower/movement';
import { NORMALISATION } from './lower/normalisation';
import { POOLING } from './lower/pooling';
import { REDUCTION_LOWERINGS } from './lower/reductions';
import { StepPlan } from './plan';
import { addUpdate, HOST_SCALARS, tableWords } from './update';
import type { UpdateParts } from './update';
import { isWhole, whole } from './view';
import type { Buffer, View } from './view';

const LOWERINGS: LoweringTable = {
  ...ELEMENTWISE,
  ...MOVEMENT,
  ...REDUCTION_LOWERINGS,
  ...ALGEBRA,
  ...LOSSES,
  ...INDEXING,
  ...NORMALISATION,
  ...POOLING,
  ...CONVOLUTION,
  ...ATTENTION,
};

/** Rounds of writing out what has no kernel. */
const ROUNDS = 8;

export interface Lowered {
  /** As it was lowered: written out where an operator has no kernel. */
  readonly graph: Graph;
  readonly plan: StepPlan;
  readonly feeds: readonly { readonly name: string; readonly view: View }[];
  readonly constants: readonly { readonly buffer: Buffer; readonly tensor: Tensor }[];
  readonly outputs: ReadonlyMap<string, View>;
  readonly update: UpdateParts | undefined;
  readonly analysis: Analysis;
}

export type StateAddress = (name: string) => number | undefined;

/** @throws Unsupported naming the operators that neither have a kernel nor can be written out. */
export function lower(graph: Graph, address: StateAddress, options: CompileOptions): Lowered {
  let current = graph;
  let lacking: ReadonlySet<string> = new Set();
  for (let round = 0; round < ROUNDS; round++) {
    const keeps = (node: Node) =>
      isOptimiser(node) || (node.op in LOWERINGS && !lacking.has(node.name));
    current = writtenOut(current, keeps);
    const walk = new Walk(current, address, options);
    const failed = walk.run();
    if (failed.length === 0) return walk.result();
    const lost = failed.filter(({ op, domain }) => !lookupOp(domain, op)?.expand);
    if (lost.length > 0) throw new Unsupported([...new Set(lost.map(({ op }) => op))].join(', '));
    lacking = new Set(failed.map(({ name }) => name));
  }
  throw new Unsupported([...lacking].join(', '));
}

/** Some operators are each other's bodies: what has no kernel comes back in its own body. */
function writtenOut(graph: Graph, keeps: (node: Node) => boolean): Graph {
  try {
    return expandWhile(graph, () => keeps);
  } catch (cause) {
    if (cause instanceof AppError && cause.code === 'internal/invariant') {
      throw new Unsupported(cause.message);
    }
    throw cause;
  }
}

const END: Node = {
  name: 'end',
  op: 'Copy',
  domain: '',
  inputs: [],
  outputs: [],
  attributes: new Map(),
};

class Walk implements Values {
  readonly plan = new StepPlan();
  readonly #analysis: Analysis;
  readonly #views = new Map<string, View>();
  readonly #constants: { buffer: Buffer; tensor: Tensor }[] = [];
  readonly #feeds: { name: string; view: View }[] = [];
  readonly #state = new Map<string, View>();
  #update: UpdateParts | undefined;

  constructor(
    readonly graph: Graph,
    readonly address: StateAddress,
    readonly options: CompileOptions,
  ) {
    this.#analysis = analyse(graph);
    for (const { name } of graph.inputs) {
      const { dtype, dims } = this.#analysis.type(name);
      const at = address(name);
      const view = whole(this.plan.fixed(name, sizeOf(dims), at), dims, kindOf(dtype));
      this.#views.set(name, view);
      if (at === undefined) this.#feeds.push({ name, view });
      else this.#state.set(name, view);
    }
  }

  type(name: string) {
    return this.#analysis.type(name);
  }

  constant(name: string): Tensor | undefined {
    return this.#analysis.constants.get(name);
  }

  get(name: string): View {
    const found = this.#views.get(name);
    if (found) return found;
    const tensor = this.constant(name);
    invariant(tensor !== undefined, `The value "${name}" is read before it is computed.`);
    const { dtype, dims } = this.type(name);
    const buffer = this.plan.fixed(name, sizeOf(dims));
    this.#constants.push({ buffer, tensor });
    const view = whole(buffer, dims, kindOf(dtype));
    this.#views.set(name, view);
    return view;
  }

  set(name: string, view: View): void {
    this.#views.set(name, view);
  }

  /** Lowers everything that is asked for; the nodes that could not be. */
  run(): Node[] {
    const { options, graph } = this;
    const wanted = [...options.outputs, ...options.updates.values()];
    const nodes = nodesFor(graph.nodes, wanted);
    const optimiser = nodes.find(isOptimiser);
    const late = new Set<string>(optimiser?.outputs);
    const failed: Node[] = [];
    const after: Node[] = [];
    for (const node of nodes) {
      if (node === optimiser) continue;
      if (node.inputs.some((name) => late.has(name))) {
        for (const name of node.outputs) late.add(name);
        after.push(node);
      } else this.#lower(node, failed);
    }
    if (failed.length > 0) return failed;
    this.#keep(options.outputs.filter((name) => !late.has(name)));
    this.plan.close();
    if (optimiser) this.#optimise(optimiser);
    for (const node of after) this.#lower(node, failed);
    if (failed.length > 0) return failed;
    this.#keep(options.outputs.filter((name) => late.has(name)));
    this.#finish();
    return failed;
  }

  result(): Lowered {
    const outputs = new Map(this.options.outputs.map((name) => [name, this.get(name)]));
    return {
      graph: this.graph,
      plan: this.plan,
      feeds: this.#feeds,
      constants: this.#constants,
      outputs,
      update: this.#update,
      analysis: this.#analysis,
    };
  }

  #lower(node: Node, failed: Node[]): void {
    this.plan.node = node.name;
    // What follows from constants alone is known already.
    if (node.outputs.every((name) => name === '' || this.constant(name) !== undefined)) return;
    const lowering = LOWERINGS[node.op];
    try {
      if (lowering === undefined) throw new Unsupported(node.op);
      lowering(new Call(node, this));
    } catch (cause) {
      if (!(cause instanceof Unsupported)) throw cause;
      failed.push(node);
      // Stand-ins, so that the rest can be tried too.
      for (const name of node.outputs) {
        if (name !== '') this.set(name, this.plan.value(name, this.type(name).dims, 'float'));
      }
    }
  }

  #optimise(node: Node): void {
    const { plan } = this;
    plan.node = node.name;
    const optimiser = readOptimiser(node);
    const call = new Call(node, this);
    const scalar = (name: string) => call.contiguous(this.get(name));
    if (!this.#feeds.some(({ name }) => name === optimiser.step)) throw new Unsupported('step');
    const weights = optimiser.weights.map(({ weight, gradient, moments, outputs }) => {
      const own = [weight, ...moments].map((name) => {
        const view = this.#state.get(name);
        if (view === undefined) throw new Unsupported(`${weight} outside the State`);
        return view;
      });
      const written = own.map(({ buffer }, index) => {
        const renewed = plan.fixed(buffer.name, buffer.elements, buffer.address);
        const name = outputs[index] ?? '';
        const old = own[index];
        if (name !== '' && old) this.set(name, { ...old, buffer: renewed });
        return renewed;
      });
      const [w, m, v] = own;
      invariant(w !== undefined && m !== undefined, 'A weight has no moments.');
      const given = this.get(gradient);
      const flat = isWhole(given) ? given : call.contiguous(given);
      return { w, m, v, gradient: flat, written };
    });
    const vector = (name: string, elements: number) =>
      whole(plan.fixed(name, elements), [elements], 'float');
    const value = (name: string) => {
      const view = plan.value(name, [], 'float');
      this.set(name, view);
      return view;
    };
    this.#update = {
      optimiser,
      weights,
      learningRate: scalar(optimiser.learningRate),
      step: scalar(optimiser.step),
      clipNorm: scalar(optimiser.clipNorm),
      lossScale: optimiser.lossScale === undefined ? undefined : scalar(optimiser.lossScale),
      factors: optimiser.factors === undefined ? undefined : scalar(optimiser.factors),
      host: vector('host', HOST_SCALARS),
      table: vector('table', tableWords(weights.map(({ w }) => sizeOf(w.dims)))),
      gradNorm: value(optimiser.gradNorm),
      stepDone: value(optimiser.stepDone),
      temporary: (elements) => plan.value('optimiser', [elements], 'float'),
    };
    addUpdate(plan, this.#update);
  }

  /** What a Ticket can read stays until the end, in the order of its elements. */
  #keep(names: readonly string[]): void {
    this.plan.node = END.name;
    const call = new Call(END, this);
    for (const name of names) {
      const view = call.contiguous(this.get(name));
      view.buffer.pinned = true;
      this.set(name, view);
    }
  }

  /** New values of the State that no optimiser wrote. */
  #finish(): void {
    this.plan.node = END.name;
    const call = new Call(END, this);
    for (const [entry, name] of this.options.updates) {
      const from = this.get(name);
      const at = this.address(entry);
      if (at === undefined) throw new Unsupported(`${entry} outside the State`);
      if (from.buffer.address === at) continue;
      // Added last, so it comes after everything that reads the old value.
      const target = whole(this.plan.fixed(entry, sizeOf(from.dims), at), from.dims, from.kind);
      copy(call, from, target, { last: true });
    }
  }
}
