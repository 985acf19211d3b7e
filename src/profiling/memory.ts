/** What of a step's memory is in use at each kernel. */
import type { MemoryKind, ProfiledBuffer, StepProfile } from '../protocol/profile';

/** From what stays to what comes and goes: the order in which they are stacked. */
export const MEMORY_KINDS = ['state', 'constant', 'feed', 'gradient', 'activation'] as const;

export interface MemoryTimeline {
  /** Bytes in use at each kernel. */
  readonly kinds: Readonly<Record<MemoryKind, readonly number[]>>;
  readonly total: readonly number[];
  /** The first kernel with the most bytes in use. */
  readonly peak: { readonly kernel: number; readonly bytes: number };
  /** In use at the peak, the largest first. */
  readonly largest: readonly ProfiledBuffer[];
}

const NAMED = 8;

export function memoryTimeline({ kernels, memory }: StepProfile): MemoryTimeline {
  const length = kernels.length;
  const kinds = Object.fromEntries(
    MEMORY_KINDS.map((kind) => [
      kind,
      alive(
        memory.filter((one) => one.kind === kind),
        length,
      ),
    ]),
  ) as Record<MemoryKind, number[]>;
  const total = Array.from({ length }, (_, at) =>
    MEMORY_KINDS.reduce((bytes, kind) => bytes + (kinds[kind][at] ?? 0), 0),
  );
  const bytes = total.reduce((most, here) => Math.max(most, here), 0);
  const kernel = Math.max(0, total.indexOf(bytes));
  const largest = memory
    .filter(({ from, to }) => from <= kernel && kernel <= to)
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, NAMED);
  return { kinds, total, peak: { kernel, bytes }, largest };
}

/** Adds where a buffer begins and takes away behind its end, then sums up once. */
function alive(buffers: readonly ProfiledBuffer[], length: number): number[] {
  const change = new Array<number>(length + 1).fill(0);
  for (const { from, to, bytes } of buffers) {
    const [first, behind] = [Math.max(0, from), Math.min(length, to + 1)];
    if (first >= behind) continue;
    change[first] = (change[first] ?? 0) + bytes;
    change[behind] = (change[behind] ?? 0) - bytes;
  }
  let now = 0;
  return change.slice(0, length).map((by) => (now += by));
}
