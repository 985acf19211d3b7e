/**
 * From a graph to a step plan, without a device: nodes are lowered to kernels, kernels fused into groups, values given
 * places, and each group written as WGSL. Equal graphs, traits and variants give equal plans.
 */
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { Graph } from '../../onnx/graph';
import type { DeviceTensor, DeviceTraits, LoweringContext } from '../../ops/lowering/plan';
import type { CompileOptions } from '../executor';
import { isOptimiser, readOptimiser } from '../optimiser';
import { analyse, nodesFor } from '../plan';
import type { Analysis } from '../plan';
import { originsOf, rolesOf } from '../roles';
import type { NodeRole } from '../roles';
import { deviceArray } from './device-array';
import { fuse } from './fuse';
import type { Fused, Group } from './fuse';
import { KernelList } from './kernels';
import type { Variants } from './kernels';
import { loweringOf } from './lowerings';
import { groupReads, keptValues, madeIn, padded, planMemory } from './memory';
import type { MemoryPlan } from './memory';
import { sourceOf } from './source';
import type { BufferDeclaration, Layout, Place } from './source';
import type { StateLayout } from './state-layout';
import type { PlannedKernel, PlannedMemory, PlannedValue, StepPlan } from './step-plan';
import { copyDispatch } from './copy';
import type { Copy } from './copy';
import { updateDispatches } from './update';

export interface PlanRequest {
  /** With static shapes, and of operators that have a lowering. */
  readonly graph: Graph;
  readonly state: StateLayout;
  readonly options: Pick<CompileOptions, 'updates' | 'outputs'>;
  readonly traits: DeviceTraits;
  /** Most bytes of one binding. */
  readonly bindingBytes: number;
  readonly variants?: Variants;
}

const BINDINGS = { state: 0, feeds: 1, constants: 2, results: 3, arena: 4 } as const;

/** @throws AppError `engine/unsupported` for an operator without a lowering, or a value larger than a binding */
export function planStep(request: PlanRequest): StepPlan {
  const lowered = lower(request);
  const { list, results, updates, roles } = lowered;
  const wanted = new Set([...results.values(), ...updates.values()].map(({ value }) => value));
  const fused = fuse(list.kernels, list.values, wanted);
  const kept = keptValues(fused, wanted);
  const homes = new Homes(request, lowered, fused, kept);
  const memory = planMemory(fused, wanted, homes.elsewhere, Math.floor(request.bindingBytes / 4));
  const layout = homes.layout(memory);
  const kernels: PlannedKernel[] = [];
  for (const group of fused.groups) {
    kernels.push(...planGroup(group, fused, layout, request, roles));
  }
  const copies = homes.copies(layout);
  if (copies.length > 0) kernels.push(copyDispatch(copies, layout.buffers));
  return {
    buffers: layout.buffers,
    wanted: request.graph.inputs
      .filter(({ name }) => !request.state.entries.has(name))
      .map(({ name }) => ({ name, ...lowered.analysis.type(name) })),
    feeds: homes.feeds,
    results: homes.results,
    constants: homes.constants(),
    kernels,
    memory: describeMemory(memory, fused),
    arenaBytes: memory.arenas.reduce((sum, size) => sum + size * 4, 0),
    choices: list.choices,
  };
}

interface Lowered {
  readonly list: KernelList;
  readonly analysis: Analysis;
  readonly results: ReadonlyMap<string, DeviceTensor>;
  /** State entry -> its new value, but for what the optimiser updates in place. */
  readonly updates: ReadonlyMap<string, DeviceTensor>;
  readonly roles: ReadonlyMap<string, NodeRole>;
}

function lower({ graph, state, options, traits, variants }: PlanRequest): Lowered {
  const analysis = analyse(graph);
  const { constants, type } = analysis;
  const wanted = [...options.outputs, ...options.updates.values()];
  const computed = graph.nodes.filter(
    ({ outputs }) => !outputs.every((name) => constants.has(name)),
  );
  const nodes = nodesFor(computed, wanted);
  invariant(!nodes.slice(0, -1).some(isOptimiser), 'The optimiser must be the last node.');
  const list = new KernelList(traits, variants);
  const tensors = new Map<string, DeviceTensor>();
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const producers = new Map(
    graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node])),
  );

  const tensor = (name: string): DeviceTensor => {
    const found = tensors.get(name);
    if (found) return found;
    const known = constants.get(name);
    const home = known
      ? ({ kind: 'constant', data: deviceArray(name, known) } as const)
      : state.entries.has(name)
        ? ({ kind: 'state', name } as const)
        : ({ kind: 'feed', name } as const);
    invariant(known || inputs.has(name), `The value "${name}" is used before it is computed.`);
    const made = list.resident(type(name), home, name);
    tensors.set(name, made);
    return made;
  };
  const done = new Set<string>();
  for (const node of nodes) {
    list.node = node.name;
    const context: LoweringContext = {
      node,
      plan: list,
      type,
      constant: (index) => constants.get(node.inputs[index] ?? ''),
      tensor,
      producer: (name) => producers.get(name),
    };
    if (isOptimiser(node)) {
      const plan = readOptimiser(node);
      const order = [
        ...[plan.learningRate, plan.step, plan.clipNorm],
        ...plan.weights.map(({ gradient }) => gradient),
        ...[plan.factors, plan.lossScale].filter((name) => name !== undefined),
      ];
      const [gradNorm, stepDone] = list.update(plan, order.map(tensor));
      if (gradNorm) tensors.set(plan.gradNorm, gradNorm);
      if (stepDone) tensors.set(plan.stepDone, stepDone);
      for (const { outputs } of plan.weights) for (const name of outputs) done.add(name);
      continue;
    }
    lowerNode(context).forEach((made, at) => {
      const name = node.outputs[at] ?? '';
      if (name === '') return;
      const value = list.values[made.value];
      if (value && value.name === '') value.name = name;
      tensors.set(name, made);
    });
  }
  const results = new Map(options.outputs.map((name) => [name, tensor(name)]));
  const updates = new Map(
    [...options.updates]
      .filter(([, name]) => !done.has(name))
      .map(([entry, name]) => [entry, tensor(name)]),
  );
  return { list, analysis, results, updates, roles: rolesOf(graph) };
}

function lowerNode(context: LoweringContext): readonly DeviceTensor[] {
  const { node } = context;
  const lowering = loweringOf(node);
  if (lowering) return lowering(context);
  throw new AppError(
    'engine/unsupported',
    `The graphics processor cannot run ${node.op} ("${node.name}") yet. Choose the processor instead.`,
    { op: node.op, node: node.name },
  );
}

/** Where values lie that are not in the arena, and what must be copied when the step is done. */
class Homes {
  readonly feeds: PlannedValue[] = [];
  readonly results: PlannedValue[] = [];
  readonly #parts: { readonly offset: number; readonly data: Float32Array | Int32Array }[] = [];
  /** Values of the step that are written right where they are wanted. */
  readonly #direct = new Map<number, Place>();
  readonly #resident = new Map<number, Place>();
  readonly #request: PlanRequest;
  readonly #lowered: Lowered;
  readonly #kept: ReadonlySet<number>;
  #sizes = { feeds: 0, constants: 0, results: 0 };

  constructor(request: PlanRequest, lowered: Lowered, fused: Fused, kept: ReadonlySet<number>) {
    this.#request = request;
    this.#lowered = lowered;
    this.#kept = kept;
    this.#placeUpdates(fused);
    this.#placeResults();
    this.#placeResidents(fused);
  }

  get elsewhere(): ReadonlySet<number> {
    return new Set(this.#direct.keys());
  }

  /** A new State entry is written in place where nothing reads the old one afterwards, but at the same element. */
  #placeUpdates(fused: Fused): void {
    const { list, updates } = this.#lowered;
    const ids = new Map(
      list.values.flatMap(({ id, home }) => (home.kind === 'state' ? [[home.name, id]] : [])),
    );
    const reads = fused.groups.map((group) => groupReads(group, fused));
    for (const [entry, { value }] of updates) {
      const at = fused.groups.findIndex((group) => madeIn(group).includes(value));
      if (at === -1 || !this.#kept.has(value) || this.#direct.has(value)) continue;
      const old = ids.get(entry);
      const later = reads.slice(at + 1).some((each) => old !== undefined && each.has(old));
      const here = old === undefined ? undefined : reads[at]?.get(old);
      if (later || here === false || fused.groups[at]?.core?.kind === 'cold') continue;
      const { offset } = this.#request.state.require(entry);
      this.#direct.set(value, { buffer: 'state', offset });
    }
  }

  #placeResults(): void {
    for (const [name, tensor] of this.#lowered.results) {
      const { dtype } = this.#lowered.analysis.type(name);
      const size = sizeOf(tensor.dims);
      const offset = this.#sizes.results;
      this.results.push({ name, dtype, dims: tensor.dims, size, offset });
      this.#sizes.results += padded(size);
      if (!this.#kept.has(tensor.value) || this.#direct.has(tensor.value)) continue;
      this.#direct.set(tensor.value, { buffer: 'results', offset });
    }
  }

  #placeResidents(fused: Fused): void {
    const used = new Set(fused.groups.flatMap((group) => [...groupReads(group, fused).keys()]));
    for (const { value } of [
      ...this.#lowered.results.values(),
      ...this.#lowered.updates.values(),
    ]) {
      used.add(value);
    }
    for (const value of fused.values) {
      const { id, home, size } = value;
      if (!used.has(id) || home.kind === 'step') continue;
      if (home.kind === 'state') {
        const { offset } = this.#request.state.require(home.name);
        this.#resident.set(id, { buffer: 'state', offset });
      } else if (home.kind === 'feed') {
        const offset = this.#sizes.feeds;
        const { dtype, dims } = this.#lowered.analysis.type(home.name);
        this.feeds.push({ name: home.name, dtype, dims, size, offset });
        this.#resident.set(id, { buffer: 'feeds', offset });
        this.#sizes.feeds += padded(size);
      } else {
        const offset = this.#sizes.constants;
        this.#parts.push({ offset, data: home.data });
        this.#resident.set(id, { buffer: 'constants', offset });
        this.#sizes.constants += padded(size);
      }
    }
  }

  /** What the buffer of constants holds; asked for when all kernels are written, since they fill tables. */
  constants(): Uint32Array<ArrayBuffer> {
    const bits = new Uint32Array(Math.max(this.#sizes.constants, 1));
    for (const { offset, data } of this.#parts) {
      bits.set(new Uint32Array(data.buffer, data.byteOffset, data.length), offset);
    }
    return bits;
  }

  layout({ arenas, places }: MemoryPlan): Layout {
    const { state, bindingBytes } = this.#request;
    const least = (size: number): number => Math.max(size, 64);
    const buffers: BufferDeclaration[] = [
      { name: 'state', binding: BINDINGS.state, writable: false, size: least(state.size) },
      { name: 'feeds', binding: BINDINGS.feeds, writable: false, size: least(this.#sizes.feeds) },
      {
        name: 'constants',
        binding: BINDINGS.constants,
        writable: false,
        size: least(this.#sizes.constants),
      },
      {
        name: 'results',
        binding: BINDINGS.results,
        writable: true,
        size: least(this.#sizes.results),
      },
      ...arenas.map((size, at) => ({
        name: `arena${at}`,
        binding: BINDINGS.arena + at,
        writable: true,
        size: least(size),
      })),
    ];
    const large = buffers.find(({ size }) => size * 4 > bindingBytes);
    if (large) {
      throw new AppError(
        'engine/too-large',
        `The step needs ${(large.size * 4) / 2 ** 20} MiB in one piece (${large.name}), but this graphics processor ` +
          `takes at most ${bindingBytes / 2 ** 20} MiB. Choose a smaller batch or a smaller model.`,
        { buffer: large.name, bytes: large.size * 4, limit: bindingBytes },
      );
    }
    return {
      buffers,
      place: (value) => {
        const direct = this.#direct.get(value) ?? this.#resident.get(value);
        if (direct) return direct;
        const place = places.get(value);
        invariant(place !== undefined, 'A value has no place.');
        return { buffer: `arena${place.arena}`, offset: place.offset };
      },
      keeps: (value) => this.#kept.has(value),
    };
  }

  /** What is wanted but lies elsewhere: inputs and constants that are results, values that are wanted twice. */
  copies(layout: Layout): Copy[] {
    const { results, updates, list } = this.#lowered;
    const copies: Copy[] = [];
    const add = (tensor: DeviceTensor, to: Place): void => {
      const value = list.values[tensor.value];
      invariant(value !== undefined, 'A wanted value is unknown.');
      if (value.size === 0) return;
      const from = layout.place(value.id);
      if (from.buffer === to.buffer && from.offset === to.offset) return;
      copies.push({ from, to, size: value.size });
    };
    for (const { name, offset } of this.results) {
      const tensor = results.get(name);
      if (tensor) add(tensor, { buffer: 'results', offset });
    }
    for (const [entry, tensor] of updates) {
      add(tensor, { buffer: 'state', offset: this.#request.state.require(entry).offset });
    }
    return copies;
  }
}

function planGroup(
  group: Group,
  fused: Fused,
  layout: Layout,
  request: PlanRequest,
  roles: ReadonlyMap<string, NodeRole>,
): PlannedKernel[] {
  const kernels = [
    ...(group.core ? [group.core] : []),
    ...group.epilogue.map((each) => each.kernel),
  ];
  const nodes = [...new Set(kernels.flatMap((kernel) => kernel.nodes))];
  const labels = kernels.map((kernel) =>
    kernel.kind === 'update' ? kernel.optimiser.kind : kernel.spec.label,
  );
  const bytes = (values: Iterable<number>): number =>
    [...values].reduce((sum, id) => sum + (fused.values[id]?.size ?? 0) * 4, 0);
  const written = madeIn(group).filter((value) => layout.keeps(value));
  const described = {
    label: labels.join(' + '),
    nodes,
    origins: originsOf(roles, nodes),
    phase: roles.get(nodes[0] ?? '')?.phase ?? 'forward',
    bytesRead: bytes(groupReads(group, fused).keys()),
    bytesWritten: bytes(written),
  };
  const { core } = group;
  if (core?.kind === 'cold') {
    const places = (values: readonly number[]): Place[] =>
      values.map((value) => layout.place(value));
    const { spec } = core;
    const [inputs, outputs] = [places(core.inputs), places(core.outputs)];
    return [{ kind: 'cold', spec, inputs, outputs, ...described }];
  }
  if (core?.kind === 'update') {
    return updateDispatches(core, fused.values, layout, request.state, request.traits).map(
      ({ label, ...dispatch }) => ({
        kind: 'dispatch' as const,
        ...described,
        label,
        phase: 'update' as const,
        ...dispatch,
      }),
    );
  }
  const writesState = written.some((value) => layout.place(value).buffer === 'state');
  const dispatch = sourceOf(group, fused, writesState ? writable(layout) : layout, request.traits);
  return [{ kind: 'dispatch', ...described, ...dispatch, writesState }];
}

/** The layout with the State open for writing. */
export function writable(layout: Layout): Layout {
  const buffers = layout.buffers.map((each) =>
    each.name === 'state' ? { ...each, writable: true } : each,
  );
  return { ...layout, buffers };
}

function describeMemory(
  { lifetimes, places }: MemoryPlan,
  { groups, values }: Fused,
): PlannedMemory[] {
  const update = groups.find(({ core }) => core?.kind === 'update')?.core;
  return lifetimes.map(({ value, from, to }) => {
    const { size = 0, name = '' } = values[value] ?? {};
    return {
      name,
      kind: update?.inputs.includes(value) ? 'gradient' : 'activation',
      bytes: size * 4,
      offset: (places.get(value)?.offset ?? 0) * 4,
      from,
      to: Math.min(to, groups.length - 1),
    };
  });
}
