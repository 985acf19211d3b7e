/** Windows that slide over planes: max and average pools with their gradients, and pools over whole planes. */
import { intsAttribute } from '../../../../ops/attributes';
import { cube, windowOf } from '../../../../ops/Conv/window';
import type { WindowAxis } from '../../../../ops/Conv/window';
import { includesPad } from '../../../../ops/pooling/attributes';
import { Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import { control, f32, forRange, i32, seq } from '../code';
import type { Code, Local } from '../code';
import type { KernelContext } from '../plan';
import { addressOf, whole } from '../view';
import { clearPlanes, doubling, halves, halving, planeSize } from './halving';
import type { Planes } from './halving';
import { reduce } from './reductions';

function planesOf(call: Call, dims: readonly number[]): Planes {
  const [depth, height, width] = cube(windowOf(call.node, dims));
  if (depth.kernel !== 1 || depth.output !== 1 || depth.input !== 1) {
    throw new Unsupported(`${call.node.op} in three axes`);
  }
  return { count: (dims[0] ?? 1) * (dims[1] ?? 1), height, width };
}

/** Runs over the output positions of one plane: `x` is the byte offset of the window's first tap, `y` of the output. */
function positions(
  { writer, chunk }: KernelContext,
  planes: Planes,
  perChunk: number,
  body: (at: { x: Local; y: Local; row: Local; column: Local }) => Code,
): Code {
  const { height, width, count } = planes;
  const [plane, end, row, column, x, y] = [0, 1, 2, 3, 4, 5].map(() => writer.int()) as [
    Local,
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const first = i32.mul(chunk.get, i32.const(perChunk));
  const bound = i32.add(first, i32.const(perChunk));
  const start = i32.add(
    i32.mul(plane.get, i32.const(4 * planeSize(planes, 'input'))),
    i32.add(
      i32.mul(row.get, i32.const(4 * height.stride * width.input)),
      i32.const(-4 * (height.before * width.input + width.before)),
    ),
  );
  return seq(
    end.set(i32.select(bound, i32.const(count), i32.ltS(bound, i32.const(count)))),
    forRange(
      plane,
      first,
      end.get,
      1,
      seq(
        y.set(i32.mul(plane.get, i32.const(4 * planeSize(planes, 'output')))),
        forRange(
          row,
          i32.const(0),
          i32.const(height.output),
          1,
          seq(
            x.set(start),
            forRange(
              column,
              i32.const(0),
              i32.const(width.output),
              1,
              seq(body({ x, y, row, column }), x.increase(4 * width.stride), y.increase(4)),
            ),
          ),
        ),
      ),
    ),
  );
}

/** For each tap inside the plane, in order. Taps that are always inside are not asked. */
function taps(planes: Planes, row: Local, column: Local, body: (offset: number) => Code): Code {
  const inside = (axis: WindowAxis, position: Local, tap: number): Code | null => {
    const shift = tap * axis.dilation - axis.before;
    const last = (axis.output - 1) * axis.stride + shift;
    if (shift >= 0 && last < axis.input) return null;
    const at = i32.add(i32.mul(position.get, i32.const(axis.stride)), i32.const(shift));
    return i32.ltU(at, i32.const(axis.input));
  };
  const { height, width } = planes;
  const code: Code[] = [];
  for (let ky = 0; ky < height.kernel; ky++) {
    for (let kx = 0; kx < width.kernel; kx++) {
      const offset = 4 * (ky * height.dilation * width.input + kx * width.dilation);
      const tests = [inside(height, row, ky), inside(width, column, kx)].filter((t) => t !== null);
      const own = body(offset);
      const [a, b] = tests;
      code.push(a === undefined ? own : control.if(b === undefined ? a : i32.and(a, b), own));
    }
  }
  return seq(...code);
}

/** A load at a pointer that may lie before its buffer while the tap itself does not. */
const tapAt = (x: Local, offset: number): Code => i32.add(x.get, i32.const(offset));

const MOST_TAPS = 64;

function chunksOf(planes: Planes): { perChunk: number; chunks: number } {
  if (planes.height.kernel * planes.width.kernel > MOST_TAPS)
    throw new Unsupported('large windows');
  const perChunk = Math.max(1, Math.floor(8192 / planeSize(planes, 'input')));
  return { perChunk, chunks: Math.ceil(planes.count / perChunk) };
}

const maxPool: Lowering = (call) => {
  if (call.wants(1)) throw new Unsupported('MaxPool with indices');
  const x = call.contiguous(call.input(0));
  const planes = planesOf(call, x.dims);
  const { perChunk, chunks } = chunksOf(planes);
  const output = call.output();
  call.plan.kernel({
    name: 'MaxPool',
    reads: [x],
    writes: [output],
    chunks,
    write: (context) => {
      if (halves(planes)) return halving(context, planes, perChunk, x, output);
      const best = context.writer.float();
      return positions(context, planes, perChunk, ({ x: at, y, row, column }) =>
        seq(
          best.set(f32.const(-Infinity)),
          taps(planes, row, column, (offset) =>
            best.set(f32.max(best.get, f32.load(tapAt(at, offset), addressOf(x)))),
          ),
          f32.store(y.get, best.get, addressOf(output)),
        ),
      );
    },
  });
};

/** Each output's gradient goes to the first maximum under its window. */
const maxPoolGradient: Lowering = (call) => {
  const [dy, x] = [call.contiguous(call.input(0)), call.contiguous(call.input(1))];
  const planes = planesOf(call, x.dims);
  const { perChunk, chunks } = chunksOf(planes);
  const dx = call.output();
  call.plan.kernel({
    name: 'MaxPoolGrad',
    reads: [dy, x],
    writes: [dx],
    chunks,
    write: (context) => {
      const { writer } = context;
      if (halves(planes)) return doubling(context, planes, perChunk, { x, dy, dx });
      const [best, value] = [writer.float(), writer.float()];
      const [place, own] = [writer.int(), writer.int()];
      const scatter = positions(context, planes, perChunk, ({ x: at, y, row, column }) =>
        seq(
          best.set(f32.const(-Infinity)),
          place.set(i32.const(-1)),
          taps(planes, row, column, (offset) =>
            seq(
              value.set(f32.load(own.tee(tapAt(at, offset)), addressOf(x))),
              // The first of all, a greater one, or NaN, which is greater than nothing.
              control.if(
                i32.or(
                  i32.eq(place.get, i32.const(-1)),
                  i32.or(f32.gt(value.get, best.get), i32.eqz(f32.eq(value.get, value.get))),
                ),
                seq(best.set(value.get), place.set(own.get)),
              ),
            ),
          ),
          control.if(
            i32.ne(place.get, i32.const(-1)),
            f32.store(
              place.get,
              f32.add(f32.load(place.get, addressOf(dx)), f32.load(y.get, addressOf(dy))),
              addressOf(dx),
            ),
          ),
        ),
      );
      return seq(clearPlanes(context, planes, perChunk, dx), scatter);
    },
  });
};

/** How many elements an average is over: all taps, or those inside. */
function countTaps(planes: Planes, all: boolean, row: Local, column: Local, count: Local): Code {
  if (all) return count.set(i32.const(planes.height.kernel * planes.width.kernel));
  return seq(
    count.set(i32.const(0)),
    taps(planes, row, column, () => count.increase(1)),
  );
}

const averagePool: Lowering = (call) => {
  const x = call.contiguous(call.input(0));
  const planes = planesOf(call, x.dims);
  const { perChunk, chunks } = chunksOf(planes);
  const all = settledCount(call, planes);
  const output = call.output();
  call.plan.kernel({
    name: 'AveragePool',
    reads: [x],
    writes: [output],
    chunks,
    write: (context) => {
      const [sum, count] = [context.writer.float(), context.writer.int()];
      return positions(context, planes, perChunk, ({ x: at, y, row, column }) =>
        seq(
          sum.set(f32.const(0)),
          taps(planes, row, column, (offset) =>
            sum.set(f32.add(sum.get, f32.load(tapAt(at, offset), addressOf(x)))),
          ),
          countTaps(planes, all, row, column, count),
          f32.store(y.get, f32.div(sum.get, f32.fromI32(count.get)), addressOf(output)),
        ),
      );
    },
  });
};

/** Padding that counts beyond the declared one (in ceil mode) is not in this kernel. */
function settledCount(call: Call, { height, width }: Planes): boolean {
  const padded = [height, width].some((axis) => axis.before !== 0 || axis.after !== 0);
  const over = [height, width].some(
    (axis) =>
      (axis.output - 1) * axis.stride + (axis.kernel - 1) * axis.dilation >=
      axis.input + axis.before + axis.after,
  );
  if (over) throw new Unsupported(`${call.node.op} in ceil mode`);
  return !padded || includesPad(call.node);
}

const averagePoolGradient: Lowering = (call) => {
  const dy = call.contiguous(call.input(0));
  const dims = intsAttribute(call.node, 'input_shape');
  const planes = planesOf(call, dims);
  const { perChunk, chunks } = chunksOf(planes);
  const all = settledCount(call, planes);
  const dx = call.output();
  call.plan.kernel({
    name: 'AveragePoolGrad',
    reads: [dy],
    writes: [dx],
    chunks,
    write: (context) => {
      const { writer } = context;
      const [share, count, own] = [writer.float(), writer.int(), writer.int()];
      const scatter = positions(context, planes, perChunk, ({ x: at, y, row, column }) =>
        seq(
          countTaps(planes, all, row, column, count),
          share.set(f32.div(f32.load(y.get, addressOf(dy)), f32.fromI32(count.get))),
          taps(planes, row, column, (offset) =>
            f32.store(
              own.tee(tapAt(at, offset)),
              f32.add(f32.load(own.get, addressOf(dx)), share.get),
              addressOf(dx),
            ),
          ),
        ),
      );
      return seq(clearPlanes(context, planes, perChunk, dx), scatter);
    },
  });
};

const globalPool =
  (combine: 'sum' | 'max'): Lowering =>
  (call) => {
    const x = call.input(0);
    const output = call.output();
    const axes = x.dims.map((_, axis) => axis).slice(2);
    reduce(call, {
      name: call.node.op,
      input: x,
      axes,
      output: whole(output.buffer, x.dims.slice(0, 2), 'float'),
      combine,
      finish: combine === 'sum' ? 'total / count' : undefined,
    });
  };

export const POOLING: LoweringTable = {
  MaxPool: maxPool,
  MaxPoolGrad: maxPoolGradient,
  AveragePool: averagePool,
  AveragePoolGrad: averagePoolGradient,
  GlobalAveragePool: globalPool('sum'),
  GlobalMaxPool: globalPool('max'),
};
