/**
 * A step as a list of kernels over buffers, before anything has an address. Elementwise operators are not kernels of
 * their own: they join the group that computes one of their inputs wherever no other kernel stands between, and a
 * group may begin with a matrix product, whose sums it finishes before they are stored.
 */
import { invariant } from '../../../core/errors';
import { sizeOf } from '../../../core/dtype';
import type { Code, Local } from './code';
import type { Typed } from './expression';
import type { FunctionWriter, ModuleWriter } from './module';
import type { MultiplyAdd } from './matmul';
import { isWhole, refined, whole } from './view';
import type { Buffer, Kind, View } from './view';

export interface KernelContext {
  readonly writer: FunctionWriter;
  readonly module: ModuleWriter;
  readonly madd: MultiplyAdd;
  /** Which of the kernel's pieces is to be done. */
  readonly chunk: Local;
  /** Address of this thread's own working memory. */
  readonly scratch: Code;
}

export interface Kernel {
  /** Operator, for people. */
  readonly name: string;
  readonly reads: readonly View[];
  readonly writes: readonly View[];
  /** Pieces that can be done in any order by any thread: each writes its own elements only. */
  readonly chunks: number;
  /** Bytes of working memory a thread needs. */
  readonly scratch?: number;
  /** Changes the State: everything before it must be done. */
  readonly last?: boolean;
  /** Called when addresses are known. */
  write(context: KernelContext): Code;
}

/** Computes four elements of a member from those of its inputs. */
export type Formula = (writer: FunctionWriter, inputs: readonly Typed[]) => Typed;

export interface Member {
  readonly name: string;
  readonly inputs: readonly View[];
  readonly output: View;
  readonly formula: Formula;
}

/** A kernel that hands over its output four elements at a time instead of storing it. */
export interface Anchor {
  readonly name: string;
  readonly reads: readonly View[];
  readonly output: View;
  /** Whether the sums are stored on the way, whoever needs them. */
  readonly stores: boolean;
  /** Whether its vectors lie in rows of the output's last axis, so that a bias can be read beside them. */
  readonly hasColumns: boolean;
  readonly chunks: number;
  readonly scratch: number;
  write(context: KernelContext, finish: GroupFinish): Code;
}

export interface Place {
  /** Byte offset of the vector's first element from the beginning of the output, and of its column in a row. */
  readonly element: Local;
  readonly elementOffset: number;
  readonly column: Local;
  readonly columnOffset: number;
  /** How many of the four lanes exist. */
  readonly lanes: number;
}

export type GroupFinish = (context: KernelContext, value: Code, place: Place) => Code;

export class Unit {
  readonly members: Member[] = [];
  readonly reads = new Set<Buffer>();
  /** Names of the graph's nodes whose work it does. */
  readonly nodes = new Set<string>();
  /** Order in which units were last added to. */
  index: number;
  /** Whether nothing joins it any more. */
  closed = false;

  constructor(
    index: number,
    readonly kernel: Kernel | null,
    readonly anchor: Anchor | null,
    /** Elements that a group runs over. */
    readonly size: number,
  ) {
    this.index = index;
  }

  get isGroup(): boolean {
    return this.kernel === null;
  }

  has(buffer: Buffer): boolean {
    return (
      this.anchor?.output.buffer === buffer ||
      this.members.some(({ output }) => output.buffer === buffer)
    );
  }
}

const ALIGNMENT_ELEMENTS = 16;

/** Bytes that a buffer takes: kernels read whole vectors beyond its last element, and two panels of them. */
export function paddedBytes(elements: number): number {
  return Math.ceil((elements + 8) / ALIGNMENT_ELEMENTS) * ALIGNMENT_ELEMENTS * 4;
}

export class StepPlan {
  readonly units: Unit[] = [];
  readonly buffers: Buffer[] = [];
  readonly fixedBuffers: Buffer[] = [];
  /** Name of the node that is being lowered. */
  node = '';
  readonly #writers = new Map<Buffer, Unit[]>();
  readonly #readers = new Map<Buffer, Set<Unit>>();
  #clock = 0;

  /** Memory that lives from its first writer to its last reader. */
  buffer(name: string, elements: number): Buffer {
    const made: Buffer = { name, elements, planned: true, pinned: false, address: -1 };
    this.buffers.push(made);
    return made;
  }

  /** Memory outside the plan: of the State where it has an address, else feeds, constants and tables. */
  fixed(name: string, elements: number, address = -1): Buffer {
    const made: Buffer = { name, elements, planned: false, pinned: true, address };
    if (address < 0) this.fixedBuffers.push(made);
    return made;
  }

  value(name: string, dims: readonly number[], kind: Kind): View {
    return whole(this.buffer(name, sizeOf(dims)), dims, kind);
  }

  writersOf(buffer: Buffer): readonly Unit[] {
    return this.#writers.get(buffer) ?? [];
  }

  readersOf(buffer: Buffer): ReadonlySet<Unit> {
    return this.#readers.get(buffer) ?? new Set();
  }

  kernel(kernel: Kernel): void {
    const unit = new Unit(this.#clock++, kernel, null, 0);
    unit.nodes.add(this.node);
    this.units.push(unit);
    for (const { buffer } of kernel.reads) this.#read(unit, buffer);
    for (const { buffer } of kernel.writes) this.#wrote(unit, buffer);
  }

  anchor(anchor: Anchor): void {
    const unit = new Unit(this.#clock++, null, anchor, sizeOf(anchor.output.dims));
    unit.nodes.add(this.node);
    this.units.push(unit);
    for (const { buffer } of anchor.reads) this.#read(unit, buffer);
    this.#wrote(unit, anchor.output.buffer);
  }

  /** Adds an elementwise operator. Its inputs are broadcast to the output's dims already. */
  pointwise(member: Member): void {
    const size = sizeOf(member.output.dims);
    const candidates = new Set(member.inputs.flatMap(({ buffer }) => this.writersOf(buffer)));
    const group = [...candidates]
      .filter(
        (unit) => unit.isGroup && !unit.closed && unit.size === size && this.#fits(unit, member),
      )
      .sort((a, b) => b.index - a.index)[0];
    const unit = group ?? new Unit(0, null, null, size);
    if (group === undefined) this.units.push(unit);
    unit.index = this.#clock++;
    unit.members.push(member);
    unit.nodes.add(this.node);
    for (const { buffer } of member.inputs) if (!unit.has(buffer)) this.#read(unit, buffer);
    this.#wrote(unit, member.output.buffer);
  }

  /** What is added from now on comes after what is there: weights are about to change in place. */
  close(): void {
    for (const unit of this.units) unit.closed = true;
  }

  /** Whether nobody outside its unit reads a value, so that it needs no memory. */
  isInner(unit: Unit, buffer: Buffer): boolean {
    if (buffer.pinned) return false;
    if (unit.anchor?.stores === true && unit.anchor.output.buffer === buffer) return false;
    for (const reader of this.readersOf(buffer)) if (reader !== unit) return false;
    return true;
  }

  /** All units, each after those whose results it reads, otherwise in the order of the graph. */
  ordered(): readonly Unit[] {
    const done = new Set<Unit>();
    const order: Unit[] = [];
    const waiting = [...this.units].sort((a, b) => a.index - b.index);
    const visit = (unit: Unit): void => {
      if (done.has(unit)) return;
      done.add(unit);
      for (const needed of this.needs(unit)) visit(needed);
      order.push(unit);
    };
    for (const unit of waiting) visit(unit);
    return order;
  }

  /** Units whose results it reads. */
  needs(unit: Unit): Unit[] {
    return [...unit.reads].flatMap((buffer) =>
      this.writersOf(buffer).filter((writer) => writer !== unit),
    );
  }

  #read(unit: Unit, buffer: Buffer): void {
    unit.reads.add(buffer);
    const readers = this.#readers.get(buffer);
    if (readers) readers.add(unit);
    else this.#readers.set(buffer, new Set([unit]));
  }

  #wrote(unit: Unit, buffer: Buffer): void {
    const writers = this.#writers.get(buffer);
    if (writers) writers.push(unit);
    else this.#writers.set(buffer, [unit]);
  }

  #depends(unit: Unit, on: Unit, seen: Set<Unit>): boolean {
    if (unit === on) return true;
    if (seen.has(unit)) return false;
    seen.add(unit);
    return this.needs(unit).some((needed) => this.#depends(needed, on, seen));
  }

  #fits(unit: Unit, member: Member): boolean {
    const shapes = [
      ...(unit.anchor ? [unit.anchor.output.dims] : []),
      ...unit.members.map(({ output }) => output.dims),
      member.output.dims,
    ];
    if (refined(shapes) === undefined) return false;
    const seen = new Set<Unit>();
    return member.inputs.every((input) => {
      if (unit.has(input.buffer)) return isWhole(input) && sizeOf(input.dims) === unit.size;
      if (unit.anchor && anchorAccess(input, unit.anchor) === undefined) return false;
      return this.writersOf(input.buffer).every((writer) => !this.#depends(writer, unit, seen));
    });
  }
}

/** What the tiles of a product can read beside their sums: the same elements, one for each column, or one for all. */
export type AnchorAccess = 'element' | 'column' | 'scalar';

export function anchorAccess(
  input: View,
  { output, hasColumns }: Anchor,
): AnchorAccess | undefined {
  const columns = output.dims.at(-1) ?? 1;
  if (isWhole(input) && sizeOf(input.dims) === sizeOf(output.dims)) return 'element';
  if (input.dims.every((dim, axis) => dim === 1 || input.strides[axis] === 0)) return 'scalar';
  const last = input.dims.length - 1;
  const row =
    hasColumns &&
    input.dims[last] === columns &&
    input.strides[last] === 1 &&
    input.dims.slice(0, -1).every((dim, axis) => dim === 1 || input.strides[axis] === 0);
  return row ? 'column' : undefined;
}

/** Kernels that one thread does one after another, in pieces if there is only one of them. */
export interface Task {
  readonly kernels: Kernel[];
  readonly chunks: number;
}

/** Tasks that any threads may do at the same time. All threads wait for each other between phases. */
export type Phase = readonly Task[];

export interface Schedule {
  readonly phases: readonly Phase[];
  /** Number of a unit's phase; units without a kernel have none. */
  readonly phaseOf: ReadonlyMap<Unit, number>;
}

/** How far ahead kernels are looked for that could be done in this phase too: further would keep more in memory. */
const LOOK_AHEAD = 12;

export function schedule(plan: StepPlan, kernelOf: (unit: Unit) => Kernel | undefined): Schedule {
  const phaseOf = new Map<Unit, number>();
  const phases: Phase[] = [];
  let waiting = plan.ordered().flatMap((unit) => {
    const kernel = kernelOf(unit);
    return kernel ? [{ unit, kernel }] : [];
  });
  const real = new Set(waiting.map(({ unit }) => unit));
  while (waiting.length > 0) {
    const tasks: Task[] = [];
    const taskOf = new Map<Unit, Task>();
    const now = phases.length;
    const left: typeof waiting = [];
    let blocked = false;
    waiting.forEach(({ unit, kernel }, index) => {
      const needs = plan.needs(unit).filter((needed) => real.has(needed));
      const later = needs.some((needed) => !phaseOf.has(needed));
      const inside = new Set(needs.flatMap((needed) => taskOf.get(needed) ?? []));
      const [only] = inside;
      const follows = inside.size === 1 && only?.chunks === 1 && kernel.chunks === 1;
      // What changes the State waits for all before it, and holds back all after it.
      const last = kernel.last === true;
      const held = last
        ? left.length > 0 || tasks.some((task) => task.kernels[0]?.last !== true)
        : blocked;
      if (last) blocked = true;
      const far = index >= LOOK_AHEAD + taskOf.size;
      if (far || later || held || (inside.size > 0 && !follows)) {
        left.push({ unit, kernel });
        return;
      }
      if (follows && only) only.kernels.push(kernel);
      const task = follows && only ? only : { kernels: [kernel], chunks: kernel.chunks };
      if (task !== only) tasks.push(task);
      taskOf.set(unit, task);
      phaseOf.set(unit, now);
    });
    invariant(tasks.length > 0, 'The kernels of a step wait for each other.');
    phases.push(tasks);
    waiting = left;
  }
  return { phases, phaseOf };
}

/**
 * Gives every buffer that needs one a place after `base`, and returns the bytes they take together: the largest first,
 * each at the lowest offset where nothing that lives at the same time lies. (Pisarchyk & Lee 2020, arXiv 2001.03288,
 * "greedy by size".)
 */
export function planMemory(plan: StepPlan, { phases, phaseOf }: Schedule): number {
  interface Life {
    readonly buffer: Buffer;
    readonly size: number;
    readonly first: number;
    readonly last: number;
  }
  const lives: Life[] = [];
  for (const buffer of plan.buffers) {
    const writers = plan.writersOf(buffer);
    const [only] = writers;
    if (only === undefined) continue;
    if (writers.length === 1 && only.isGroup && plan.isInner(only, buffer)) continue;
    const places = [...writers, ...plan.readersOf(buffer)].flatMap(
      (unit) => phaseOf.get(unit) ?? [],
    );
    lives.push({
      buffer,
      size: paddedBytes(buffer.elements),
      first: Math.min(...places),
      last: buffer.pinned ? phases.length : Math.max(...places),
    });
  }
  lives.sort((a, b) => b.size - a.size || a.first - b.first);
  const placed: (Life & { readonly offset: number })[] = [];
  let bytes = 0;
  for (const life of lives) {
    const rivals = placed
      .filter(({ first, last }) => first <= life.last && life.first <= last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const rival of rivals) {
      if (offset + life.size <= rival.offset) break;
      offset = Math.max(offset, rival.offset + rival.size);
    }
    placed.push({ ...life, offset });
    life.buffer.address = offset;
    bytes = Math.max(bytes, offset + life.size);
  }
  return bytes;
}
