/**
 * What a profiled step of an emitted program tells. Its kernels are done one after another on one thread, because
 * several would share each of them; so times compare kernels with one another, not with a step on all threads.
 */
import { sizeOf } from '../../../core/dtype';
import type { MemoryKind, ProfiledBuffer, StepProfile } from '../../../protocol/profile';
import type { StateSpec } from '../../executor';
import { originsOf, rolesOf } from '../../roles';
import type { Lowered } from './lowering';
import type { Kernel, Unit } from './plan';
import { paddedBytes } from './plan';
import type { Buffer, View } from './view';

export interface Timed {
  readonly planId: string;
  readonly threads: number;
  readonly stepMicros: number;
  /** Of each kernel, in the order of `kernels`. */
  readonly micros: readonly number[];
}

export interface Profiled {
  readonly lowered: Lowered;
  readonly kernels: readonly Kernel[];
  readonly unitOf: ReadonlyMap<Kernel, Unit>;
  readonly specs: readonly StateSpec[];
  /** Where the arena begins, and its length. */
  readonly arena: number;
  readonly arenaBytes: number;
}

export function profileOf(program: Profiled, timed: Timed): StepProfile {
  const { lowered, kernels, unitOf, arenaBytes } = program;
  const { planId, threads, stepMicros, micros } = timed;
  const roles = rolesOf(lowered.graph);
  const uploaded = lowered.feeds.reduce((sum, { view }) => sum + 4 * sizeOf(view.dims), 0);
  return {
    executor: 'wasm',
    device: threads === 1 ? 'the processor' : `the processor, one of its ${threads} threads`,
    planId,
    clock: 'wall',
    stepMicros,
    kernels: kernels.map((kernel, index) => {
      // What only brings a result to its place belongs to no node.
      const own = unitOf.get(kernel)?.nodes ?? new Set<string>();
      const nodes = [...own].filter((name) => roles.has(name));
      return {
        label: kernel.name.replaceAll('+', ' + '),
        nodes,
        origins: originsOf(roles, nodes),
        phase: roles.get(nodes[0] ?? '')?.phase ?? (kernel.last ? 'update' : 'forward'),
        micros: micros[index] ?? 0,
        bytesRead: bytesOf(kernel.reads),
        bytesWritten: bytesOf(kernel.writes),
        workgroups: 0,
        workgroupSize: 0,
      };
    }),
    memory: memoryOf(program),
    arenaBytes,
    counts: { dispatches: kernels.length, passes: 0, submits: 0, uploadedBytes: uploaded },
  };
}

/** Each buffer once, however often a kernel looks at it. */
function bytesOf(views: readonly View[]): number {
  const buffers = new Set(views.map(({ buffer }) => buffer));
  return [...buffers].reduce((sum, { elements }) => sum + 4 * elements, 0);
}

function memoryOf({ lowered, kernels, unitOf, specs, arena }: Profiled): ProfiledBuffer[] {
  const { plan } = lowered;
  const last = Math.max(0, kernels.length - 1);
  const numbers = new Map(
    kernels.flatMap((kernel, index): [Unit, number][] => {
      const unit = unitOf.get(kernel);
      return unit ? [[unit, index]] : [];
    }),
  );
  const numbersOf = (units: Iterable<Unit>): number[] =>
    [...units].flatMap((unit) => numbers.get(unit) ?? []);
  const whole = (name: string, kind: MemoryKind, elements: number): ProfiledBuffer => ({
    name,
    kind,
    bytes: paddedBytes(elements),
    offset: null,
    from: 0,
    to: last,
  });
  const feeds = new Set(lowered.feeds.map(({ view }) => view.buffer));
  const gradients = new Set<Buffer>(
    lowered.update?.weights.map(({ gradient }) => gradient.buffer) ?? [],
  );
  const planned = plan.buffers.flatMap((buffer): ProfiledBuffer[] => {
    const made = numbersOf(plan.writersOf(buffer));
    // A value that only its own kernel sees has no memory.
    if (buffer.address < arena || made.length === 0) return [];
    return [
      {
        name: buffer.name,
        kind: gradients.has(buffer) ? 'gradient' : 'activation',
        bytes: paddedBytes(buffer.elements),
        offset: buffer.address - arena,
        from: Math.min(...made),
        to: buffer.pinned ? last : Math.max(...made, ...numbersOf(plan.readersOf(buffer))),
      },
    ];
  });
  return [
    ...specs.map(({ name, dims }) => whole(name, 'state', sizeOf(dims))),
    ...plan.fixedBuffers.map((buffer) =>
      whole(buffer.name, feeds.has(buffer) ? 'feed' : 'constant', buffer.elements),
    ),
    ...planned,
  ];
}
