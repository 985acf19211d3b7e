/**
 * Where each value of a step lies: the arena's memory is planned by lifetimes, greedily from the largest value down
 * (Pisarchyk & Lee 2020, arXiv 2001.03288); a result takes the place of an input that dies with it where every
 * element is read only to write the same element.
 */
import { invariant } from '../../core/errors';
import { leavesOf } from './fuse';
import type { Fused, Group } from './fuse';

/** Elements: 256 bytes, which is also what any device wants of a binding's offset. */
export const ALIGNMENT = 64;

export const padded = (size: number): number => Math.ceil(size / ALIGNMENT) * ALIGNMENT;

/** From the group that makes it to the last that reads it, inclusive. */
export interface Lifetime {
  readonly value: number;
  readonly from: number;
  readonly to: number;
}

export interface ArenaPlace {
  readonly kind: 'words' | 'halves';
  /** Which of the arenas of this kind. */
  readonly arena: number;
  /** In elements of the kind: 4 bytes, or 2. */
  readonly offset: number;
}

export interface MemoryPlan {
  /** Size of each arena in elements of 4 bytes: those of whole words, and those of halves. */
  readonly arenas: readonly number[];
  readonly halfArenas: readonly number[];
  readonly places: ReadonlyMap<number, ArenaPlace>;
  readonly lifetimes: readonly Lifetime[];
}

/** Values that a group reads; true where all its reads are at the element's own place. */
export function groupReads(group: Group, { inlined }: Fused): Map<number, boolean> {
  const reads = new Map<number, boolean>();
  const add = (value: number, same: boolean): void => {
    reads.set(value, (reads.get(value) ?? true) && same);
  };
  const own = new Set(madeIn(group));
  if (group.core) {
    for (const value of leavesOf(group.core, inlined).keys()) add(value, false);
  }
  for (const { kernel } of group.epilogue) {
    for (const [value, same] of leavesOf(kernel, inlined)) if (!own.has(value)) add(value, same);
  }
  return reads;
}

/** Values that a group computes, whether they are kept or not. */
export function madeIn({ core, epilogue }: Group): number[] {
  return [...(core?.outputs ?? []), ...epilogue.flatMap(({ kernel }) => kernel.outputs)];
}

/** Values that are written to memory: read by another group, or wanted when the step is done. */
export function keptValues(fused: Fused, wanted: ReadonlySet<number>): Set<number> {
  const kept = new Set<number>();
  const made = new Map<number, Group>();
  for (const group of fused.groups) {
    for (const value of groupReads(group, fused).keys()) {
      if (fused.values[value]?.home.kind === 'step' && made.get(value) !== group) kept.add(value);
    }
    for (const value of madeIn(group)) {
      made.set(value, group);
      if (wanted.has(value)) kept.add(value);
    }
    // tfjs and the update write all that they make.
    if (group.core && group.core.kind !== 'core')
      for (const value of group.core.outputs) kept.add(value);
  }
  return kept;
}

/**
 * @param elsewhere values that lie in other buffers (results)
 * @param limit most elements of 4 bytes of one arena
 * @param halves values that are stored with half the bits
 */
export function planMemory(
  fused: Fused,
  wanted: ReadonlySet<number>,
  elsewhere: ReadonlySet<number>,
  limit: number,
  halves: ReadonlySet<number> = new Set(),
): MemoryPlan {
  const { groups, values } = fused;
  const kept = keptValues(fused, wanted);
  const from = new Map<number, number>();
  const to = new Map<number, number>();
  /** Value -> the input whose place it takes. */
  const takes = new Map<number, number>();
  const reads = groups.map((group) => groupReads(group, fused));
  groups.forEach((group, at) => {
    for (const value of madeIn(group)) {
      if (kept.has(value)) from.set(value, at);
      if (kept.has(value)) to.set(value, Math.max(to.get(value) ?? at, at));
    }
    for (const value of reads[at]?.keys() ?? []) to.set(value, Math.max(to.get(value) ?? at, at));
  });
  for (const value of wanted) if (from.has(value)) to.set(value, groups.length);
  const inArena = (value: number) => from.has(value) && !elsewhere.has(value);
  const lifetimes: Lifetime[] = [...from]
    .filter(([value]) => inArena(value) && (values[value]?.size ?? 0) > 0)
    .map(([value, first]) => ({ value, from: first, to: to.get(value) ?? first }));

  groups.forEach((group, at) => {
    const free = [...(reads[at] ?? [])].filter(
      ([value, same]) => same && inArena(value) && to.get(value) === at && from.get(value) !== at,
    );
    for (const value of madeIn(group)) {
      if (!kept.has(value) || !inArena(value)) continue;
      const found = free.findIndex(
        ([other]) =>
          values[other]?.size === values[value]?.size && halves.has(other) === halves.has(value),
      );
      const [taken] = found === -1 ? [] : free.splice(found, 1);
      if (taken) takes.set(value, taken[0]);
    }
  });
  const words = lifetimes.filter(({ value }) => !halves.has(value));
  const short = lifetimes.filter(({ value }) => halves.has(value));
  const size = (value: number): number => padded(values[value]?.size ?? 0);
  const whole = placeAll(words, takes, size, limit);
  const half = placeAll(short, takes, (value) => size(value) / 2, limit);
  const places = new Map<number, ArenaPlace>();
  for (const [value, { arena, offset }] of whole.places) {
    places.set(value, { kind: 'words', arena, offset });
  }
  for (const [value, { arena, offset }] of half.places) {
    places.set(value, { kind: 'halves', arena, offset: offset * 2 });
  }
  return {
    arenas: whole.arenas,
    halfArenas: short.length === 0 ? [] : half.arenas,
    places,
    lifetimes,
  };
}

interface Placed {
  readonly arena: number;
  readonly offset: number;
}

interface Slot {
  readonly members: number[];
  readonly size: number;
  from: number;
  to: number;
}

function placeAll(
  lifetimes: readonly Lifetime[],
  takes: ReadonlyMap<number, number>,
  sizeOf: (value: number) => number,
  limit: number,
): { readonly arenas: readonly number[]; readonly places: ReadonlyMap<number, Placed> } {
  const slots = new Map<number, Slot>();
  for (const { value, from, to } of lifetimes.toSorted((a, b) => a.from - b.from)) {
    const shared = slots.get(takes.get(value) ?? -1);
    if (shared) {
      shared.members.push(value);
      shared.to = Math.max(shared.to, to);
      slots.set(value, shared);
    } else {
      slots.set(value, { members: [value], size: sizeOf(value), from, to });
    }
  }
  const order = [...new Set(slots.values())].sort((a, b) => b.size - a.size || a.from - b.from);
  const arenas: { slot: Slot; offset: number }[][] = [[]];
  const places = new Map<number, Placed>();
  const ends: number[] = [0];
  for (const slot of order) {
    invariant(slot.size <= limit, 'A value fits in one arena.');
    for (let arena = 0; ; arena++) {
      const placed = (arenas[arena] ??= []);
      const offset = bestGap(placed, slot);
      if (offset + slot.size > limit) continue;
      placed.push({ slot, offset });
      ends[arena] = Math.max(ends[arena] ?? 0, offset + slot.size);
      for (const value of slot.members) places.set(value, { arena, offset });
      break;
    }
  }
  return { arenas: ends, places };
}

/** The smallest gap between what is alive at the same time, else after it. */
function bestGap(placed: readonly { slot: Slot; offset: number }[], slot: Slot): number {
  const alive = placed
    .filter(({ slot: other }) => other.from <= slot.to && slot.from <= other.to)
    .sort((a, b) => a.offset - b.offset);
  let best: number | undefined;
  let smallest = Infinity;
  let end = 0;
  for (const { slot: other, offset } of alive) {
    const gap = offset - end;
    if (gap >= slot.size && gap < smallest) [smallest, best] = [gap, end];
    end = Math.max(end, offset + other.size);
  }
  return best ?? end;
}
