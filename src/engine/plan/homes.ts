/** Where each value lies, in which buffer, and what is left to copy when a step is done. */
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { DeviceTensor } from '../../ops/lowering/plan';
import type { Copy } from './copy';
import type { Fused } from './fuse';
import type { Lowered, PlanRequest } from './lower';
import { ALIGNMENT, groupReads, madeIn, padded } from './memory';
import type { MemoryPlan } from './memory';
import type { BufferDeclaration, Layout, Place } from './source';
import type { PlannedValue } from './step-plan';

const BINDINGS = { state: 0, feeds: 1, constants: 2, results: 3, arena: 4 } as const;

/** Where values lie that are not in the arena, and what must be copied when the step is done. */
export class Homes {
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

  layout({ arenas, halfArenas, places }: MemoryPlan): Layout {
    const { state, bindingBytes, traits } = this.#request;
    const buffer = (
      name: string,
      binding: number,
      size: number,
      holds: BufferDeclaration['holds'] = 'words',
    ): BufferDeclaration => ({
      name,
      binding,
      writable: binding >= BINDINGS.results,
      // Empty buffers still need something to bind.
      size: Math.max(size, ALIGNMENT),
      holds,
    });
    const half = traits.float16 ? 'float16' : 'packed';
    const buffers = [
      buffer('state', BINDINGS.state, state.size),
      buffer('feeds', BINDINGS.feeds, this.#sizes.feeds),
      buffer('constants', BINDINGS.constants, this.#sizes.constants),
      buffer('results', BINDINGS.results, this.#sizes.results),
      ...arenas.map((size, at) => buffer(`arena${at}`, BINDINGS.arena + at, size)),
      ...halfArenas.map((size, at) =>
        buffer(`half${at}`, BINDINGS.arena + arenas.length + at, size, half),
      ),
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
        const kind = place.kind === 'halves' ? 'half' : 'arena';
        return { buffer: `${kind}${place.arena}`, offset: place.offset };
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
