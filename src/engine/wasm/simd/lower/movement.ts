/** Operators that move elements: nearly all are other views of the same memory. */
import { sizeOf } from '../../../../core/dtype';
import { intAttribute, intsAttribute } from '../../../../ops/attributes';
import { normalizeAxis } from '../../../../ops/shapes';
import { resolveSlice } from '../../../../ops/Slice/range';
import { Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import { forRange, i32, repeat, seq, v128 } from '../code';
import type { Code, Local } from '../code';
import { storeVector } from '../pointwise';
import { addressOf, collapse, expanded, permuted } from '../view';
import type { View } from '../view';

const reshape: Lowering = (call) => call.give(call.reshape(call.input(0), call.outputDims()));

const transpose: Lowering = (call) => {
  const x = call.input(0);
  const backwards = x.dims.map((_, axis) => x.dims.length - 1 - axis);
  call.give(permuted(x, intsAttribute(call.node, 'perm', backwards)));
};

const expand: Lowering = (call) => call.give(expanded(call.input(0), call.outputDims()));

function along(view: View, axis: number, start: number, length: number, step = 1): View {
  const stride = view.strides[axis] ?? 0;
  return {
    ...view,
    offset: view.offset + start * stride,
    dims: view.dims.map((dim, index) => (index === axis ? length : dim)),
    strides: view.strides.map((own, index) => (index === axis ? own * step : own)),
  };
}

const split: Lowering = (call) => {
  const x = call.input(0);
  const axis = normalizeAxis(call.node, intAttribute(call.node, 'axis', 0), x.dims.length);
  let start = 0;
  call.node.outputs.forEach((name, index) => {
    const length = call.values.type(name).dims[axis] ?? 0;
    call.give(along(x, axis, start, length), index);
    start += length;
  });
};

const slice: Lowering = (call) => {
  const x = call.input(0);
  const ranges = resolveSlice(
    call.node,
    x.dims,
    call.constants(1) ?? [],
    call.constants(2) ?? [],
    call.constants(3),
    call.constants(4),
  );
  const cut = ranges.reduce(
    (view, { axis, start, step, length }) => along(view, axis, start, length, step),
    x,
  );
  // Kernels count offsets upwards only; the copy below is made by one that knows better.
  const backwards = ranges.some(({ step }) => step < 0);
  call.give(backwards ? call.contiguous(cut) : cut);
};

/** Copies `from` to `to`, of the same dims; neither need be contiguous. */
export function copy(
  call: Call,
  from: View,
  to: View,
  { after = [], last = false }: { readonly after?: readonly View[]; readonly last?: boolean } = {},
): void {
  const lengths = collapse(to.dims, [from.strides, to.strides]);
  const [fromStrides = [], toStrides = []] = lengths.strides;
  const axes = lengths.dims.map((dim, axis) => ({
    dim,
    from: fromStrides[axis] ?? 0,
    to: toStrides[axis] ?? 0,
  }));
  const inner = axes.at(-1) ?? { dim: 1, from: 1, to: 1 };
  const outer = axes.slice(0, -1);
  const rows = sizeOf(outer.map(({ dim }) => dim));
  const perChunk = Math.max(1, Math.min(rows, Math.floor(8192 / inner.dim)));
  call.plan.kernel({
    name: 'Copy',
    last,
    reads: [from, ...after],
    writes: [to],
    chunks: Math.ceil(rows / perChunk),
    write: ({ writer, chunk }) => {
      const [row, end, source, target, counter] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
        Local,
        Local,
        Local,
        Local,
        Local,
      ];
      const offset = (which: 'from' | 'to'): Code => {
        let value: Code = i32.const(0);
        let divisor = 1;
        for (const axis of [...outer].reverse()) {
          const index = i32.remU(i32.divU(row.get, i32.const(divisor)), i32.const(axis.dim));
          value = i32.add(value, i32.mul(index, i32.const(4 * axis[which])));
          divisor *= axis.dim;
        }
        return value;
      };
      const wide = inner.from === 1 && inner.to === 1;
      const step = wide ? 4 : 1;
      const move = (lanes: number): Code => {
        const read = wide
          ? v128.load(source.get, addressOf(from))
          : v128.loadOne(source.get, addressOf(from));
        const value = writer.vector();
        const code = seq(value.set(read), storeVector(target, value.get, addressOf(to), lanes));
        writer.release(value);
        return code;
      };
      const forward = seq(
        source.increase(4 * step * inner.from),
        target.increase(4 * step * inner.to),
      );
      const rest = wide ? inner.dim % 4 : 0;
      const line = seq(
        source.set(offset('from')),
        target.set(offset('to')),
        repeat(counter, Math.floor(inner.dim / step), seq(move(wide ? 4 : 1), forward)),
        rest > 0 ? move(rest) : [],
      );
      const first = i32.mul(chunk.get, i32.const(perChunk));
      const bound = i32.add(first, i32.const(perChunk));
      return seq(
        end.set(i32.select(bound, i32.const(rows), i32.ltS(bound, i32.const(rows)))),
        forRange(row, first, end.get, 1, line),
      );
    },
  });
}

const concat: Lowering = (call) => {
  const output = call.output();
  const axis = normalizeAxis(call.node, intAttribute(call.node, 'axis'), output.dims.length);
  let start = 0;
  call.node.inputs.forEach((_, index) => {
    const part = call.input(index);
    const length = part.dims[axis] ?? 0;
    if (length > 0) copy(call, part, along(output, axis, start, length));
    start += length;
  });
};

/** Zeros around, or cut off. */
const pad: Lowering = (call) => {
  const mode = call.node.attributes.get('mode');
  if (mode?.type === 'string' && mode.value !== 'constant') throw new Unsupported('Pad');
  if (call.has(2) && call.scalar(2) !== 0) throw new Unsupported('Pad');
  const x = call.input(0);
  const pads = call.constants(1) ?? [];
  const axes = call.constants(3) ?? x.dims.map((_, axis) => axis);
  const output = call.output();
  let from = x;
  let to = output;
  axes.forEach((given, index) => {
    const axis = given < 0 ? given + x.dims.length : given;
    const before = pads[index] ?? 0;
    const after = pads[index + axes.length] ?? 0;
    const length = (x.dims[axis] ?? 0) + Math.min(0, before) + Math.min(0, after);
    if (length <= 0) throw new Unsupported('Pad');
    from = along(from, axis, Math.max(0, -before), length);
    to = along(to, axis, Math.max(0, before), length);
  });
  const size = sizeOf(output.dims);
  const perChunk = 16384;
  call.plan.kernel({
    name: 'Zero',
    reads: [],
    writes: [output],
    chunks: Math.ceil(size / perChunk),
    write: ({ writer, chunk }) =>
      zeros(writer.int(), writer.int(), chunk, size, perChunk, addressOf(output)),
  });
  // The zeros are written first, because this kernel reads them.
  copy(call, from, to, { after: [output] });
};

function zeros(
  at: Local,
  end: Local,
  chunk: Local,
  size: number,
  perChunk: number,
  base: number,
): Code {
  const first = i32.mul(chunk.get, i32.const(4 * perChunk));
  const bound = i32.add(first, i32.const(4 * perChunk));
  const limit = i32.const(4 * size);
  return seq(
    end.set(i32.select(bound, limit, i32.ltS(bound, limit))),
    forRange(at, first, end.get, 16, v128.store(at.get, ZERO, base)),
  );
}

const ZERO = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];

export const MOVEMENT: LoweringTable = {
  Reshape: reshape,
  Flatten: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Transpose: transpose,
  Expand: expand,
  Split: split,
  Slice: slice,
  Concat: concat,
  Pad: pad,
};
