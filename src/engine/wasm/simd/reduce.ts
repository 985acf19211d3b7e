/**
 * Reductions of views. Where neighbouring elements belong to different results, four columns are folded at a time;
 * where they belong to one, four partial results, put together in a fixed order at the end.
 */
import { sizeOf } from '../../../core/dtype';
import { control, f32x4, forRange, i32, i32x4, NOTHING, repeat, seq, v128 } from './code';
import type { Code, Local } from './code';
import { expression } from './expression';
import type { Typed } from './expression';
import type { FunctionWriter } from './module';
import type { Kernel, KernelContext } from './plan';
import { storeVector } from './pointwise';
import { addressOf, collapse } from './view';
import type { View } from './view';

export type Combine = 'sum' | 'max' | 'min' | 'product';

const COMBINE = {
  sum: { start: 0, fold: f32x4.add },
  product: { start: 1, fold: f32x4.mul },
  max: { start: -Infinity, fold: f32x4.max },
  min: { start: Infinity, fold: f32x4.min },
} as const;

export const startOf = (combine: Combine): number => COMBINE[combine].start;
export const foldOf = (combine: Combine) => COMBINE[combine].fold;

/** The vector with `start` in the lanes from `lanes` on. */
export function masked(value: Code, lanes: number, combine: Combine): Code {
  if (lanes === 4) return value;
  const mask = i32x4.lanes([0, 1, 2, 3].map((lane) => (lane < lanes ? -1 : 0)));
  const { start } = COMBINE[combine];
  return start === 0 ? v128.and(value, mask) : v128.select(value, f32x4.const(start), mask);
}

/** All four lanes folded together, in every lane; `value` is used up. */
export function across(value: Local, combine: Combine): Code {
  const { fold } = COMBINE[combine];
  const turned = (lanes: readonly number[]) => v128.shuffle(value.get, value.get, lanes);
  return seq(
    value.set(fold(value.get, turned([2, 3, 0, 1]))),
    value.set(fold(value.get, turned([1, 0, 3, 2]))),
  );
}

export interface Axis {
  readonly dim: number;
  /** Elements. */
  readonly stride: number;
}

/** Runs `body` for every index of the axes, with the pointer where each says; afterwards it is back. */
export function nest(
  writer: FunctionWriter,
  axes: readonly Axis[],
  pointer: Local,
  body: Code,
): Code {
  return axes.reduceRight((inner: Code, { dim, stride }) => {
    if (dim === 1) return inner;
    const counter = writer.int();
    return seq(
      repeat(counter, dim, seq(inner, pointer.increase(4 * stride))),
      pointer.increase(-4 * stride * dim),
    );
  }, body);
}

/** base + Σ index·stride of the axes, from the number of an element in their order. */
export function offsetOf(index: Code, axes: readonly Axis[]): Code {
  let value: Code = i32.const(0);
  let divisor = 1;
  for (let axis = axes.length - 1; axis >= 0; axis--) {
    const { dim = 1, stride = 0 } = axes[axis] ?? {};
    const quotient = divisor === 1 ? index : i32.divU(index, i32.const(divisor));
    const own = axis === 0 ? quotient : i32.remU(quotient, i32.const(dim));
    if (stride !== 0) value = i32.add(value, i32.mul(own, i32.const(4 * stride)));
    divisor *= dim;
  }
  return value;
}

export interface Reduction {
  readonly name: string;
  readonly input: View;
  readonly axes: readonly number[];
  /** Contiguous, of the kept axes in order. */
  readonly output: View;
  readonly combine: Combine;
  /** Expression of `x`. */
  readonly element?: string | undefined;
  /** Expression of `total` and `count`. */
  readonly finish?: string | undefined;
}

const COLUMN_BLOCK = 16;
const CHUNK_ELEMENTS = 16384;

/** Whether this view can be reduced as it lies. */
export function reducible({ input, axes }: Pick<Reduction, 'input' | 'axes'>): boolean {
  const { inner, kept } = arrange(input, axes);
  return inner.stride === 1 || kept.at(-1)?.stride === 1;
}

function arrange(input: View, axes: readonly number[]) {
  const split = (reduced: boolean): Axis[] => {
    const chosen = input.dims
      .map((_, axis) => axis)
      .filter((axis) => axes.includes(axis) === reduced);
    const pick = (list: readonly number[]) => chosen.map((axis) => list[axis] ?? 0);
    const { dims, strides } = collapse(pick(input.dims), [pick(input.strides)]);
    return dims.map((dim, index) => ({ dim, stride: strides[0]?.[index] ?? 0 }));
  };
  const reduced = split(true);
  const kept = split(false);
  // The innermost in memory decides; the order of a sum does not matter, as long as it is fixed.
  const smallest = Math.min(...reduced.map(({ stride }) => stride));
  const at = reduced.findIndex(({ stride }) => stride === smallest);
  const inner = reduced[at] ?? { dim: 1, stride: 1 };
  const last = kept.at(-1) ?? { dim: 1, stride: 1 };
  const rows = inner.stride === 1 && (last.stride !== 1 || inner.dim >= last.dim || last.dim === 1);
  return { reduced, kept, inner, others: reduced.filter((_, index) => index !== at), rows };
}

/** An expression that was seen to be readable when the graph was lowered. */
export function formulaOf(text: string, names: Readonly<Record<string, Code>>) {
  return (writer: FunctionWriter): Code => {
    const typed = new Map(
      Object.entries(names).map(([name, code]): [string, Typed] => [name, { kind: 'float', code }]),
    );
    return expression(writer, text, typed, 'float')?.code ?? NOTHING;
  };
}

export function reductionKernel(reduction: Reduction): Kernel {
  const { input, axes, output, combine, element, finish } = reduction;
  const { reduced, kept, inner, others, rows } = arrange(input, axes);
  const count = sizeOf(reduced.map(({ dim }) => dim));
  const results = sizeOf(kept.map(({ dim }) => dim));
  const { start, fold } = COMBINE[combine];

  const read = (writer: FunctionWriter, pointer: Local, offset: number): Code => {
    const raw = v128.load(pointer.get, addressOf(input) + offset);
    if (element === undefined) return raw;
    const x = writer.vector();
    return [...x.set(raw), ...formulaOf(element, { x: x.get })(writer)];
  };
  const finished = (writer: FunctionWriter, total: Local): Code => {
    if (finish === undefined) return NOTHING;
    const names = { total: total.get, count: f32x4.const(count) };
    return total.set(writer.scoped(() => formulaOf(finish, names)(writer)));
  };

  const last = kept.at(-1) ?? { dim: 1, stride: 1 };
  const blocks = Math.ceil(last.dim / COLUMN_BLOCK);
  const perChunk = rows ? Math.max(1, Math.min(results, Math.floor(CHUNK_ELEMENTS / count))) : 1;
  const chunks = rows ? Math.ceil(results / perChunk) : (results / last.dim) * blocks;

  const writeRows = ({ writer, chunk }: KernelContext): Code => {
    const [index, end, pointer, to, counter] = Array.from({ length: 5 }, () => writer.int()) as [
      Local,
      Local,
      Local,
      Local,
      Local,
    ];
    const wide = inner.dim >= 32 ? 4 : 1;
    const sums = writer.vectors(wide);
    const [total] = sums as [Local];
    const vectors = Math.floor(inner.dim / 4);
    const add = (sum: Local, offset: number, lanes = 4): Code =>
      writer.scoped(() =>
        sum.set(fold(sum.get, masked(read(writer, pointer, offset), lanes, combine))),
      );
    const rounds = Math.floor(vectors / wide);
    const rest = vectors % wide;
    const step = seq(...sums.map((sum, lane) => add(sum, 16 * lane)), pointer.increase(16 * wide));
    const line = seq(
      repeat(counter, rounds, step),
      ...Array.from({ length: rest }, (_, lane) => add(sums[lane] ?? total, 16 * lane)),
      inner.dim % 4 === 0 ? NOTHING : add(total, 16 * rest, inner.dim % 4),
      pointer.increase(-16 * wide * rounds),
    );
    const body = seq(
      pointer.set(offsetOf(index.get, kept)),
      ...sums.map((sum) => sum.set(f32x4.const(start))),
      nest(writer, others, pointer, line),
      ...sums.slice(1).map((sum) => total.set(fold(total.get, sum.get))),
      across(total, combine),
      finished(writer, total),
      to.set(i32.mul(index.get, i32.const(4))),
      v128.storeLane(to.get, total.get, 0, addressOf(output)),
    );
    const first = i32.mul(chunk.get, i32.const(perChunk));
    const bound = i32.add(first, i32.const(perChunk));
    return seq(
      end.set(i32.select(bound, i32.const(results), i32.ltS(bound, i32.const(results)))),
      forRange(index, first, end.get, 1, body),
    );
  };

  const writeColumns = ({ writer, chunk }: KernelContext): Code => {
    const [block, row, pointer, to] = Array.from({ length: 4 }, () => writer.int()) as [
      Local,
      Local,
      Local,
      Local,
    ];
    const part = (columns: number): Code => {
      const sums = writer.vectors(Math.ceil(columns / 4));
      const add = writer.scoped(() =>
        seq(...sums.map((sum, j) => sum.set(fold(sum.get, read(writer, pointer, 16 * j))))),
      );
      const code = seq(
        ...sums.map((sum) => sum.set(f32x4.const(start))),
        nest(writer, reduced, pointer, add),
        ...sums.map((sum, j) =>
          seq(
            finished(writer, sum),
            storeVector(to, sum.get, addressOf(output) + 16 * j, Math.min(4, columns - 4 * j)),
          ),
        ),
      );
      writer.release(...sums);
      return code;
    };
    const edge = last.dim % COLUMN_BLOCK;
    const full = last.dim >= COLUMN_BLOCK ? part(COLUMN_BLOCK) : NOTHING;
    const cases =
      edge === 0
        ? full
        : blocks === 1
          ? part(edge)
          : control.if(i32.ltS(block.get, i32.const(blocks - 1)), full, part(edge));
    const column = i32.mul(block.get, i32.const(4 * COLUMN_BLOCK));
    return seq(
      block.set(i32.remU(chunk.get, i32.const(blocks))),
      row.set(i32.divU(chunk.get, i32.const(blocks))),
      pointer.set(i32.add(offsetOf(row.get, kept.slice(0, -1)), column)),
      to.set(i32.add(i32.mul(row.get, i32.const(4 * last.dim)), column)),
      cases,
    );
  };
  return {
    name: reduction.name,
    reads: [input],
    writes: [output],
    chunks,
    write: rows ? writeRows : writeColumns,
  };
}
