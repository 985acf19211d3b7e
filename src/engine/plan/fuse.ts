/**
 * Which kernels become one. A pointwise kernel is computed where it is read (inlined) when that moves fewer bytes, else
 * where its last input is written (an epilogue); what is left of its size goes into one kernel. Order is kept, so no
 * cycle can arise.
 */
import { invariant } from '../../core/errors';
import type { Core, PlanKernel, PlanValue, Pointwise } from './kernels';

/** What one dispatch does. */
export interface Group {
  /** undefined: pointwise work alone. */
  readonly core: Exclude<PlanKernel, Pointwise> | undefined;
  /** Pointwise kernels computed where a result is written, in order; `on` is the value that is written there. */
  readonly epilogue: { readonly kernel: Pointwise; readonly on: number | undefined }[];
  /** Elements, where the group has no core. */
  readonly size: number;
}

export interface Fused {
  readonly groups: readonly Group[];
  /** Kernels that are computed where they are read, by their value. */
  readonly inlined: ReadonlyMap<number, Pointwise>;
  readonly values: readonly PlanValue[];
}

/** A tree of inlined kernels grows no larger: compilers slow down, and registers end. */
const MOST_INLINED = 48;
/** So many times as many reads as elements make a producer worth keeping, unless it only moves elements. */
const REPEATED = 2;

const DEAR = /\b(exp|log|pow|power|tanh|tanh_safe|erf|sin|cos|sqrt|philox\w*)\(/g;

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

/** Reads of input `slot`, and whether each is at the element's own place. */
export function readsAt(kernel: Pointwise, slot: number): 'same' | 'other' | 'none' {
  const text = `${kernel.spec.lets ?? ''}\n${kernel.spec.value}`;
  const all = count(text, new RegExp(`\\bx${slot}\\(`, 'g'));
  if (all === 0) return 'none';
  const same = count(text, new RegExp(`\\bx${slot}\\(index\\)`, 'g'));
  return same === all ? 'same' : 'other';
}

const textOf = ({ spec }: Pointwise): string => `${spec.lets ?? ''}${spec.value}`;

/** Elements only change places: the whole expression is one read. */
function moves(kernel: Pointwise): boolean {
  const text = textOf(kernel).trim();
  if (!text.startsWith('x0(')) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '(') depth++;
    if (text[at] === ')' && --depth === 0) return at === text.length - 1;
  }
  return false;
}

export function fuse(
  kernels: readonly PlanKernel[],
  values: readonly PlanValue[],
  wanted: ReadonlySet<number>,
): Fused {
  const live = simplify(kernels, wanted);
  const inlined = chooseInlined(live, values, wanted);
  return { groups: group(live, values, inlined), inlined, values };
}

/** Equal kernels once, and only those that something needs. */
export function simplify(
  kernels: readonly PlanKernel[],
  wanted: ReadonlySet<number>,
): readonly PlanKernel[] {
  const canonical = new Map<number, number>();
  const own = (value: number): number => canonical.get(value) ?? value;
  const seen = new Map<string, PlanKernel>();
  const unique: PlanKernel[] = [];
  for (const original of kernels) {
    const kernel = { ...original, inputs: original.inputs.map(own) };
    const key = keyOf(kernel);
    const twin = key === undefined ? undefined : seen.get(key);
    // What leaves the step keeps a value of its own.
    if (twin && !kernel.outputs.some((value) => wanted.has(value))) {
      kernel.outputs.forEach((value, at) => {
        const other = twin.outputs[at];
        invariant(other !== undefined, 'Equal kernels have as many outputs.');
        canonical.set(value, other);
      });
      continue;
    }
    if (key !== undefined) seen.set(key, kernel);
    unique.push(kernel);
  }
  const needed = new Set(wanted);
  const live: PlanKernel[] = [];
  for (const kernel of unique.toReversed()) {
    if (kernel.kind !== 'update' && !kernel.outputs.some((value) => needed.has(value))) continue;
    for (const value of kernel.inputs) needed.add(value);
    live.push(kernel);
  }
  return live.reverse();
}

function keyOf(kernel: PlanKernel): string | undefined {
  const inputs = kernel.inputs.join();
  if (kernel.kind === 'pointwise') {
    const { output } = kernel.spec;
    return `${inputs}|${output.dtype}|${output.dims.join()}|${textOf(kernel)}`;
  }
  if (kernel.kind !== 'core') return undefined;
  const { body, items, workgroups, declarations, outputs } = kernel.spec;
  const types = outputs.map(({ dtype, dims }) => `${dtype}${dims.join()}`).join();
  return `${inputs}|${types}|${items}|${workgroups?.count},${workgroups?.size}|${declarations}|${body}`;
}

interface Use {
  readonly kernel: PlanKernel;
  readonly slot: number;
}

function usesOf(kernels: readonly PlanKernel[]): Map<number, Use[]> {
  const uses = new Map<number, Use[]>();
  for (const kernel of kernels) {
    kernel.inputs.forEach((value, slot) => {
      const own = uses.get(value);
      if (own) own.push({ kernel, slot });
      else uses.set(value, [{ kernel, slot }]);
    });
  }
  return uses;
}

const streamsIn = (core: Core, slot: number): boolean => core.spec.streams?.includes(slot) ?? false;

function chooseInlined(
  kernels: readonly PlanKernel[],
  values: readonly PlanValue[],
  wanted: ReadonlySet<number>,
): Map<number, Pointwise> {
  const uses = usesOf(kernels);
  const inlined = new Map<number, Pointwise>();
  const sizeOf = (value: number): number => values[value]?.size ?? 0;
  /** Kernels in which a value is really computed, as often as it is. */
  const places = (value: number): PlanKernel[] =>
    (uses.get(value) ?? []).flatMap(({ kernel }) => {
      const [output] = kernel.outputs;
      return output !== undefined && inlined.has(output) ? places(output) : [kernel];
    });
  const trees = new Map<number, number>();
  for (const kernel of kernels.toReversed()) {
    if (kernel.kind !== 'pointwise') continue;
    const [output] = kernel.outputs;
    if (output === undefined || wanted.has(output)) continue;
    const own = uses.get(output) ?? [];
    const accepted = own.every(
      ({ kernel: reader, slot }) =>
        reader.kind === 'pointwise' || (reader.kind === 'core' && streamsIn(reader, slot)),
    );
    if (!accepted) continue;
    const size = sizeOf(output);
    // A small value read by a large one is computed again for each element of it.
    const repeated = own.some(({ kernel: reader }) => {
      const [to] = reader.outputs;
      return reader.kind === 'pointwise' && to !== undefined && sizeOf(to) > REPEATED * size;
    });
    const dear = count(textOf(kernel), DEAR);
    const copies = places(output).length;
    const large = kernel.inputs.filter((value) => sizeOf(value) * 2 > size).length;
    // What is made of a few numbers, like a dropout mask, costs no reading wherever it is made again.
    const free = moves(kernel) || (large === 0 && !repeated);
    const cheaper = copies === 1 || copies * large <= large + 1 + copies;
    const light = dear === 0 || (copies === 1 && !repeated);
    if (!free && (!cheaper || !light || (repeated && large > 1))) continue;
    const tree =
      1 + Math.max(0, ...places(output).map((place) => trees.get(place.outputs[0] ?? -1) ?? 0));
    if (tree > MOST_INLINED) continue;
    for (const place of places(output)) {
      const at = place.outputs[0] ?? -1;
      trees.set(at, (trees.get(at) ?? 0) + 1);
    }
    inlined.set(output, kernel);
  }
  return inlined;
}

/** Values that a kernel reads once its inlined inputs are written out, and whether only at the element's own place. */
export function leavesOf(
  kernel: PlanKernel,
  inlined: ReadonlyMap<number, Pointwise>,
): Map<number, boolean> {
  const leaves = new Map<number, boolean>();
  const visit = (reader: PlanKernel, same: boolean): void => {
    reader.inputs.forEach((value, slot) => {
      const reads = reader.kind === 'pointwise' ? readsAt(reader, slot) : 'other';
      if (reads === 'none') return;
      const here = same && reads === 'same';
      const producer = inlined.get(value);
      if (producer) visit(producer, here);
      else leaves.set(value, (leaves.get(value) ?? true) && here);
    });
  };
  visit(kernel, kernel.kind === 'pointwise');
  return leaves;
}

/** Kernels that are computed within another, where it reads them. */
export function inlinedIn(
  kernel: PlanKernel,
  inlined: ReadonlyMap<number, Pointwise>,
): readonly Pointwise[] {
  return kernel.inputs.flatMap((value) => {
    const producer = inlined.get(value);
    return producer ? [producer, ...inlinedIn(producer, inlined)] : [];
  });
}

function group(
  kernels: readonly PlanKernel[],
  values: readonly PlanValue[],
  inlined: ReadonlyMap<number, Pointwise>,
): Group[] {
  const groups: Group[] = [];
  /** Group in which a value is made, and the core's output at whose writing it is. */
  const made = new Map<number, { readonly at: number; readonly on: number | undefined }>();
  for (const kernel of kernels) {
    if (kernel.kind !== 'pointwise') {
      for (const value of kernel.outputs) made.set(value, { at: groups.length, on: value });
      groups.push({ core: kernel, epilogue: [], size: 0 });
      continue;
    }
    const [output] = kernel.outputs;
    invariant(output !== undefined, 'A pointwise kernel has one output.');
    if (inlined.has(output)) continue;
    const size = values[output]?.size ?? 0;
    const leaves = [...leavesOf(kernel, inlined)];
    const last = Math.max(-1, ...leaves.map(([value]) => made.get(value)?.at ?? -1));
    const home = joinable(groups, leaves, made, last, size, values);
    if (home) {
      groups[home.at]?.epilogue.push({ kernel, on: home.on });
      made.set(output, home);
      continue;
    }
    // Beside other work of the same size that comes later anyway.
    const beside = groups.findIndex(
      (each, at) => at > last && each.core === undefined && each.size === size,
    );
    if (beside !== -1) {
      groups[beside]?.epilogue.push({ kernel, on: undefined });
      made.set(output, { at: beside, on: undefined });
      continue;
    }
    made.set(output, { at: groups.length, on: undefined });
    groups.push({ core: undefined, epilogue: [{ kernel, on: undefined }], size });
  }
  return groups;
}

/** The group in whose epilogue the kernel can be computed: where its last input is made, read only at its own place. */
function joinable(
  groups: readonly Group[],
  leaves: readonly (readonly [number, boolean])[],
  made: ReadonlyMap<number, { readonly at: number; readonly on: number | undefined }>,
  last: number,
  size: number,
  values: readonly PlanValue[],
): { readonly at: number; readonly on: number | undefined } | undefined {
  const target = groups[last];
  if (!target) return undefined;
  if (target.core && (target.core.kind !== 'core' || target.core.spec.plainOutputs))
    return undefined;
  const there = leaves.filter(([value]) => made.get(value)?.at === last);
  const places = new Set(there.map(([value]) => made.get(value)?.on));
  const fits = there.every(([value, same]) => same && values[value]?.size === size);
  if (!fits || places.size !== 1) return undefined;
  return { at: last, on: [...places][0] };
}
