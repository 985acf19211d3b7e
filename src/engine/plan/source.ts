/**
 * WGSL of one group. Every value that it reads or writes is reached through a small function, so kernels need not know
 * where values lie, nor whether they are read from memory or computed on the spot.
 */
import { invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import { f32 } from '../../ops/lowering/address';
import { functionsIn } from '../../ops/lowering/functions';
import type { DeviceTraits } from '../../ops/lowering/plan';
import { leavesOf, readsAt } from './fuse';
import type { Fused, Group } from './fuse';
import { madeIn } from './memory';
import type { Pointwise, PlanValue } from './kernels';

/** A buffer of the plan and the element at which a value begins. */
export interface Place {
  readonly buffer: string;
  readonly offset: number;
}

export interface BufferDeclaration {
  readonly name: string;
  readonly binding: number;
  readonly writable: boolean;
  /** In elements of 4 bytes. */
  readonly size: number;
  /**
   * What an element is: 4 bytes; a float16; or a float16 of which two share a word, where the device has no such type.
   */
  readonly holds: 'words' | 'float16' | 'packed';
}

export interface Layout {
  readonly buffers: readonly BufferDeclaration[];
  place(value: number): Place;
  /** Whether the value is written to memory. */
  keeps(value: number): boolean;
}

export interface Dispatch {
  readonly code: string;
  readonly workgroups: readonly [number, number, number];
  readonly workgroupSize: number;
  /** Number of the first workgroup, where a long kernel is done in several dispatches. */
  readonly firstGroup?: number;
}

/** The same kernel, whole or in slices. */
interface Written {
  readonly code: string;
  readonly workgroupSize: number;
  readonly slices: readonly Pick<Dispatch, 'workgroups' | 'firstGroup'>[];
}

const WORKGROUP = 64;
/** From so many items on, a thread of an emulated GPU does several: starting one costs more than a small item. */
const LONG = 16384;
const ROUNDS = 4;
const MOST_WORKGROUPS = 65535;

/** Collects the functions of one module, each once. */
class Module {
  readonly #fused: Fused;
  readonly #layout: Layout;
  readonly #functions = new Map<string, string>();
  /** Values that the group itself has computed for the element at hand. */
  readonly #carried = new Set<number>();
  readonly #buffers = new Set<string>();
  readonly #bits = new Set<string>();
  readonly #written = new Set<string>();

  constructor(fused: Fused, layout: Layout, group: Group) {
    this.#fused = fused;
    this.#layout = layout;
    for (const value of madeIn(group)) {
      if (layout.keeps(value)) this.#written.add(layout.place(value).buffer);
    }
    for (const value of valuesTouched(group, fused)) {
      const { type, home } = this.value(value);
      if (isLiteral(this.value(value)) || (home.kind === 'step' && !layout.keeps(value))) continue;
      const { buffer } = layout.place(value);
      this.#buffers.add(buffer);
      // Integers and floats in one buffer: their bits, reinterpreted at each access.
      if (type === 'i32') this.#bits.add(buffer);
    }
  }

  value(id: number): PlanValue {
    const value = this.#fused.values[id];
    invariant(value !== undefined, 'A kernel names an unknown value.');
    return value;
  }

  carry(value: number): void {
    this.#carried.add(value);
  }

  /** Name of a function (i: i32) that reads a value from memory, or computes it. */
  reader(id: number): string {
    const producer = this.#fused.inlined.get(id);
    if (producer) return this.pointwise(producer).name;
    const name = `r${id}`;
    if (!this.#functions.has(name)) {
      const value = this.value(id);
      this.#functions.set(
        name,
        `fn ${name}(i: i32) -> ${value.type} { return ${this.#load(value)}; }`,
      );
    }
    return name;
  }

  #load(value: PlanValue): string {
    const literal = literalOf(value);
    if (literal !== undefined) return literal;
    const { buffer, offset } = this.#layout.place(value.id);
    const at = offset === 0 ? 'i' : `${offset} + i`;
    const holds = this.#holds(buffer);
    if (holds === 'packed') {
      const word = `${buffer}[(${at}) / 2]`;
      const bits = this.#written.has(buffer) ? `atomicLoad(&${word})` : word;
      return `unpack2x16float(${bits})[(${at}) & 1]`;
    }
    const element = `${buffer}[${at}]`;
    if (holds === 'float16') return `f32(${element})`;
    return this.#bits.has(buffer) ? `bitcast<${value.type}>(${element})` : element;
  }

  #holds(buffer: string): BufferDeclaration['holds'] {
    return this.#layout.buffers.find(({ name }) => name === buffer)?.holds ?? 'words';
  }

  store(value: PlanValue, at: string, what: string): string {
    const { buffer, offset } = this.#layout.place(value.id);
    const index = offset === 0 ? at : `${offset} + ${at}`;
    const holds = this.#holds(buffer);
    if (holds === 'packed') {
      this.define(`pack_${buffer}`, packInto(buffer));
      return `pack_${buffer}(${index}, ${what});`;
    }
    const place = `${buffer}[${index}]`;
    if (holds === 'float16') return `${place} = f16(${what});`;
    return this.#bits.has(buffer) ? `${place} = bitcast<u32>(${what});` : `${place} = ${what};`;
  }

  /** A function that gives a pointwise kernel's element, and the carried values that it takes beside the number. */
  pointwise(kernel: Pointwise): { readonly name: string; readonly takes: readonly number[] } {
    const [output = -1] = kernel.outputs;
    const takes = this.#takes(kernel);
    const name = ['p' + output, ...takes].join('_');
    if (!this.#functions.has(name)) {
      // Named before its parts are made: they come first in the module all the same.
      const parameters = takes.map((id) => `, c${id}: ${this.value(id).type}`).join('');
      const lets = this.#reads(kernel, kernel.spec.lets ?? '');
      const result = this.#reads(kernel, kernel.spec.value);
      this.#functions.set(
        name,
        `fn ${name}(index: i32${parameters}) -> ${this.value(output).type} {
${lets === '' ? '' : `${lets}\n`}  return ${result};
}`,
      );
    }
    return { name, takes };
  }

  /** Carried values that are read at the element's own place, here or in what is inlined. */
  #takes(kernel: Pointwise): number[] {
    const found = new Set<number>();
    kernel.inputs.forEach((id, slot) => {
      if (readsAt(kernel, slot) !== 'same') return;
      const producer = this.#fused.inlined.get(id);
      if (producer) for (const each of this.#takes(producer)) found.add(each);
      else if (this.#carried.has(id)) found.add(id);
    });
    return [...found].sort((a, b) => a - b);
  }

  #reads(kernel: Pointwise, text: string): string {
    let result = text;
    kernel.inputs.forEach((id, slot) => {
      const producer = this.#fused.inlined.get(id);
      const same = readsAt(kernel, slot) === 'same';
      if (!producer && same && this.#carried.has(id)) {
        result = result.replaceAll(new RegExp(`\\bx${slot}\\(index\\)`, 'g'), `c${id}`);
      } else if (producer && same && this.#takes(producer).length > 0) {
        const { name, takes } = this.pointwise(producer);
        const call = `${name}(index${takes.map((each) => `, c${each}`).join('')})`;
        result = result.replaceAll(new RegExp(`\\bx${slot}\\(index\\)`, 'g'), call);
      } else if (new RegExp(`\\bx${slot}\\(`).test(result)) {
        result = result.replaceAll(new RegExp(`\\bx${slot}\\(`, 'g'), `${this.reader(id)}(`);
      }
    });
    return result;
  }

  define(name: string, code: string): void {
    this.#functions.set(name, code);
  }

  text(main: string, subgroups = false): string {
    const functions = [...this.#functions.values()].join('\n');
    const declarations = this.#layout.buffers
      .filter(({ name }) => this.#buffers.has(name))
      .map(({ name, binding, writable, size, holds }) => {
        const shared = this.#written.has(name) ? 'atomic<u32>' : 'u32';
        const [element, count] =
          holds === 'float16'
            ? ['f16', size * 2]
            : holds === 'packed'
              ? [shared, size]
              : [this.#bits.has(name) ? 'u32' : 'f32', size];
        const access = writable ? 'read_write' : 'read';
        return `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${element}, ${count}>;`;
      });
    const stored = this.#layout.buffers.some(
      ({ name, holds }) => holds === 'float16' && this.#buffers.has(name),
    );
    const sliced = main.includes('first_group') ? 'override first_group: u32 = 0u;\n' : '';
    const code = `${sliced}${functions}\n${main}`;
    const halves = stored || /\bf16\b/.test(code);
    const enables = `${halves ? 'enable f16;\n' : ''}${subgroups ? 'enable subgroups;\n' : ''}`;
    return `${enables}${declarations.join('\n')}\n${functionsIn(code)}\n${code}`;
  }
}

/**
 * WGSL that writes one half of a word: two threads may write the two halves, each of which clears and sets only its
 * own bits, so their order does not matter. What is too large for float16 becomes infinite.
 */
function packInto(buffer: string): string {
  return `fn pack_${buffer}(at: i32, value: f32) {
  let size = abs(value);
  let infinite = 0x7c00u | ((bitcast<u32>(value) >> 16u) & 0x8000u);
  let finite = pack2x16float(vec2<f32>(clamp(value, -65504.0, 65504.0), 0.0)) & 0xffffu;
  let number = (bitcast<u32>(value) & 0x7fffffffu) <= 0x7f800000u;
  let bits = select(0x7e00u, select(finite, infinite, size >= 65520.0), number);
  let shift = u32(at & 1) * 16u;
  atomicAnd(&${buffer}[at / 2], ~(0xffffu << shift));
  atomicOr(&${buffer}[at / 2], bits << shift);
}`;
}

/** One number known beforehand stands in the source. */
function literalOf({ home, size, type }: PlanValue): string | undefined {
  if (home.kind !== 'constant' || size !== 1) return undefined;
  const number = home.data[0] ?? 0;
  if (type === 'i32') return `i32(${number})`;
  if (Number.isNaN(number)) return 'nan()';
  if (number === Infinity) return 'infinity()';
  return number === -Infinity ? '-infinity()' : f32(number);
}

export const isLiteral = (value: PlanValue): boolean => literalOf(value) !== undefined;

export function valuesTouched(group: Group, { inlined }: Fused): Set<number> {
  const touched = new Set<number>();
  const kernels = [
    ...(group.core ? [group.core] : []),
    ...group.epilogue.map((each) => each.kernel),
  ];
  for (const kernel of kernels) {
    for (const value of leavesOf(kernel, inlined).keys()) touched.add(value);
    for (const value of kernel.outputs) touched.add(value);
  }
  return touched;
}

/** Computes the epilogue on `on`, then writes what is kept: after all reads, since a result may lie on an input. */
function finish(module: Module, group: Group, layout: Layout, on: number | undefined): string[] {
  const made = on === undefined ? [] : [on];
  if (on !== undefined) module.carry(on);
  const lines: string[] = [];
  for (const { kernel, on: place } of group.epilogue) {
    if (place !== on) continue;
    const [output = -1] = kernel.outputs;
    const { name, takes } = module.pointwise(kernel);
    const given = takes.map((each) => `, c${each}`).join('');
    lines.push(`  let c${output} = ${name}(index${given});`);
    module.carry(output);
    made.push(output);
  }
  for (const id of made) {
    if (layout.keeps(id)) lines.push(`  ${module.store(module.value(id), 'index', `c${id}`)}`);
  }
  return lines;
}

/** @param bytes that the group reads and writes */
export function sourceOf(
  group: Group,
  fused: Fused,
  layout: Layout,
  traits: DeviceTraits,
  bytes: number,
): Written {
  const module = new Module(fused, layout, group);
  if (group.core === undefined) {
    const lines = finish(module, group, layout, undefined);
    module.define('item', `fn item(index: i32) {\n${lines.join('\n')}\n}`);
    return items(module, group.size, traits, slicesFor(traits, 0, bytes));
  }
  const { core } = group;
  invariant(core.kind === 'core', 'Only kernels have a source.');
  const { spec } = core;
  let body = spec.body;
  // Reads are settled before anything is carried: a core reads only what was there before.
  core.inputs.forEach((id, slot) => {
    const pattern = new RegExp(`\\bx${slot}\\(`, 'g');
    if (pattern.test(body)) body = body.replaceAll(pattern, `${module.reader(id)}(`);
  });
  core.outputs.forEach((id, slot) => {
    const lines = finish(module, group, layout, id);
    module.define(
      `w${slot}`,
      `fn w${slot}(index: i32, c${id}: ${module.value(id).type}) {\n${lines.join('\n')}\n}`,
    );
    body = body.replaceAll(new RegExp(`\\by${slot}\\(`, 'g'), `w${slot}(`);
  });
  const declarations = spec.declarations ?? '';
  if (spec.workgroups) {
    const { count, size } = spec.workgroups;
    const slices = gridOf(count, slicesFor(traits, spec.work ?? 0, bytes));
    const main = `${declarations}
@compute @workgroup_size(${size}) fn main(@builtin(workgroup_id) place: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let group = i32(${flatGroup(slices, 'place')});
  let local = i32(thread);
${coversExactly(slices, count) ? '' : `  if (group >= ${count}) { return; }\n`}${body}
}`;
    const code = module.text(main, spec.subgroups);
    return { code, slices, workgroupSize: size };
  }
  module.define('item', `${declarations}\nfn item(index: i32) {\n${body}\n}`);
  const [first] = spec.outputs;
  const slices = slicesFor(traits, spec.work ?? 0, bytes);
  return items(module, spec.items ?? sizeOf(first?.dims ?? []), traits, slices);
}

/**
 * Into how many dispatches a kernel is cut so that none holds a device for 100 ms, by what slow ones do in that time: a
 * display may share the device, and a system resets one that does not answer.
 */
function slicesFor({ software }: DeviceTraits, work: number, bytes: number): number {
  const [mostWork, mostBytes] = software ? [4e8, 2e8] : [2e9, 1e9];
  return Math.max(1, Math.ceil(work / mostWork), Math.ceil(bytes / mostBytes));
}

type Slices = Written['slices'];

function gridOf(count: number, slices: number): Slices {
  if (slices === 1 && count > MOST_WORKGROUPS) {
    const across = Math.ceil(Math.sqrt(count));
    return [{ workgroups: [across, Math.ceil(count / across), 1] }];
  }
  const each = Math.min(MOST_WORKGROUPS, Math.ceil(count / slices));
  if (each >= count) return [{ workgroups: [count, 1, 1] }];
  return Array.from({ length: Math.ceil(count / each) }, (_, at) => ({
    workgroups: [Math.min(each, count - at * each), 1, 1] as const,
    firstGroup: at * each,
  }));
}

/** WGSL: the workgroup's number among all of the kernel's. */
function flatGroup(slices: Slices, place: string): string {
  const [{ workgroups: [across = 1, down = 1] = [] } = {}] = slices;
  if (slices.length > 1) return `${place}.x + first_group`;
  return down === 1 ? `${place}.x` : `${place}.y * ${across}u + ${place}.x`;
}

const coversExactly = (slices: Slices, count: number): boolean =>
  slices.reduce((sum, { workgroups: [x, y] }) => sum + x * y, 0) === count;

function items(module: Module, count: number, traits: DeviceTraits, wanted: number): Written {
  const rounds = traits.software && count >= LONG ? ROUNDS : 1;
  const threads = Math.ceil(count / rounds);
  const slices = gridOf(Math.ceil(threads / WORKGROUP), wanted);
  const calls = Array.from({ length: rounds }, (_, round) => {
    const index = round === 0 ? 'thread' : `thread + ${round * threads}`;
    const whole = (round + 1) * threads <= count;
    return whole ? `  item(${index});` : `  if (${index} < ${count}) { item(${index}); }`;
  });
  const main = `@compute @workgroup_size(${WORKGROUP}) fn main(@builtin(workgroup_id) place: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread = i32((${flatGroup(slices, 'place')}) * ${WORKGROUP}u + local);
  if (thread >= ${threads}) { return; }
${calls.join('\n')}
}`;
  return { code: module.text(main), slices, workgroupSize: WORKGROUP };
}
