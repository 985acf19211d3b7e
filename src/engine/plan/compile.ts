/**
 * From a graph to a step plan, without a device: nodes are lowered to kernels, kernels fused into groups, values given
 * places, and each group written as WGSL. Equal graphs, traits and variants give equal plans.
 */
import { invariant } from '../../core/errors';
import { originsOf } from '../roles';
import type { NodeRole } from '../roles';
import { copyDispatch } from './copy';
import { fuse, inlinedIn } from './fuse';
import type { Fused, Group } from './fuse';
import { Homes } from './homes';
import { lower } from './lower';
import type { PlanRequest } from './lower';
import { groupReads, keptValues, madeIn, planMemory } from './memory';
import type { MemoryPlan } from './memory';
import { sourceOf } from './source';
import type { Layout, Place } from './source';
import type { PlannedKernel, PlannedMemory, StepPlan } from './step-plan';
import { updateDispatches } from './update';

/** @throws AppError `engine/unsupported` for an operator without a lowering, or a value larger than a binding */
export function planStep(request: PlanRequest): StepPlan {
  const lowered = lower(request);
  const { list, results, updates, roles } = lowered;
  const wanted = new Set([...results.values(), ...updates.values()].map(({ value }) => value));
  const fused = fuse(list.kernels, list.values, wanted);
  const kept = keptValues(fused, wanted);
  const homes = new Homes(request, lowered, fused, kept);
  const limit = Math.floor(request.bindingBytes / 4);
  const halves = halvesOf(fused, kept, wanted, homes.elsewhere, request);
  const memory = planMemory(fused, wanted, homes.elsewhere, limit, halves);
  const layout = homes.layout(memory);
  const kernels: PlannedKernel[] = [];
  const spans: { readonly first: number; readonly last: number }[] = [];
  for (const group of fused.groups) {
    const first = kernels.length;
    kernels.push(...planGroup(group, fused, layout, request, roles));
    spans.push({ first, last: kernels.length - 1 });
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
    memory: describeMemory(memory, fused, spans),
    arenaBytes: [...memory.arenas, ...memory.halfArenas].reduce((sum, size) => sum + size * 4, 0),
    choices: list.choices,
  };
}

/**
 * Values that are stored as float16: what operators give each other, but for what leaves the step, and what an update,
 * a new State entry (sums of gradients) or tfjs is made from.
 */
function halvesOf(
  fused: Fused,
  kept: ReadonlySet<number>,
  wanted: ReadonlySet<number>,
  elsewhere: ReadonlySet<number>,
  { options }: PlanRequest,
): ReadonlySet<number> {
  if (options.precision !== 'float16') return new Set();
  const { groups, values } = fused;
  const whole = new Set(
    groups.flatMap(({ core }) =>
      core && core.kind !== 'core' ? [...core.inputs, ...core.outputs] : [],
    ),
  );
  for (const group of groups) {
    if (!madeIn(group).some((value) => wanted.has(value))) continue;
    for (const [value, same] of groupReads(group, fused)) if (same) whole.add(value);
  }
  return new Set(
    [...kept].filter(
      (value) =>
        values[value]?.halves && !wanted.has(value) && !elsewhere.has(value) && !whole.has(value),
    ),
  );
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
  // Behind the core's own, which says the phase: what is computed on the way in.
  const within = kernels.flatMap((kernel) => inlinedIn(kernel, fused.inlined));
  const nodes = [...new Set([...kernels, ...within].flatMap((kernel) => kernel.nodes))];
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
  const { bytesRead, bytesWritten, label } = described;
  const open = writesState ? writable(layout) : layout;
  const moved = bytesRead + bytesWritten;
  const { code, workgroupSize, slices } = sourceOf(group, fused, open, request.traits, moved);
  const parts = slices.length;
  return slices.map((slice, at) => ({
    kind: 'dispatch',
    ...described,
    ...(parts > 1 && { label: `${label} (${at + 1} of ${parts})` }),
    bytesRead: bytesRead / parts,
    bytesWritten: bytesWritten / parts,
    code,
    workgroupSize,
    ...slice,
    writesState,
  }));
}

/** The layout with the State open for writing. */
export function writable(layout: Layout): Layout {
  const buffers = layout.buffers.map((each) =>
    each.name === 'state' ? { ...each, writable: true } : each,
  );
  return { ...layout, buffers };
}

/**
 * Offsets count through all arenas, one behind the other.
 * @param spans the kernels that each group became
 */
function describeMemory(
  { arenas, halfArenas, lifetimes, places }: MemoryPlan,
  { groups, values }: Fused,
  spans: readonly { readonly first: number; readonly last: number }[],
): PlannedMemory[] {
  const update = groups.find(({ core }) => core?.kind === 'update')?.core;
  const starts = (sizes: readonly number[], first: number): number[] =>
    sizes.map((_, at) => sizes.slice(0, at).reduce((sum, size) => sum + size * 4, first));
  const words = starts(arenas, 0);
  const halves = starts(
    halfArenas,
    arenas.reduce((sum, size) => sum + size * 4, 0),
  );
  return lifetimes.map(({ value, from, to }) => {
    const { size = 0, name = '' } = values[value] ?? {};
    const place = places.get(value);
    invariant(place !== undefined, 'A value of the arena has no place.');
    const short = place.kind === 'halves';
    const width = short ? 2 : 4;
    return {
      name,
      kind: update?.inputs.includes(value) ? 'gradient' : 'activation',
      bytes: size * width,
      offset: ((short ? halves : words)[place.arena] ?? 0) + place.offset * width,
      from: spans[from]?.first ?? 0,
      to: spans[Math.min(to, groups.length - 1)]?.last ?? 0,
    };
  });
}
