/** Planes under windows, and the most common pool of all: windows of 2 × 2 side by side, four at a time. */
import type { WindowAxis } from '../../../../ops/Conv/window';
import { f32, f32x4, forRange, i32, i32x4, NOTHING, repeat, seq, v128 } from '../code';
import type { Code, Local } from '../code';
import type { KernelContext } from '../plan';
import { storeVector } from '../pointwise';
import { addressOf } from '../view';
import type { View } from '../view';

export interface Planes {
  readonly count: number;
  readonly height: WindowAxis;
  readonly width: WindowAxis;
}

export const planeSize = ({ height, width }: Planes, of: 'input' | 'output') =>
  height[of] * width[of];

export function clearPlanes(
  { writer, chunk }: KernelContext,
  planes: Planes,
  perChunk: number,
  to: View,
): Code {
  const [at, end] = [writer.int(), writer.int()];
  const plane = 4 * planeSize(planes, 'input');
  const limit = i32.const(plane * planes.count);
  const first = i32.mul(chunk.get, i32.const(perChunk * plane));
  const bound = i32.add(first, i32.const(perChunk * plane));
  return seq(
    end.set(i32.select(bound, limit, i32.ltS(bound, limit))),
    forRange(at, first, end.get, 4, f32.store(at.get, f32.const(0), addressOf(to))),
  );
}

export const halves = ({ height, width }: Planes): boolean =>
  [height, width].every(
    ({ kernel, stride, dilation, before, input, output }) =>
      kernel === 2 && stride === 2 && dilation === 1 && before === 0 && 2 * output <= input,
  );

/** Left and right, upper and lower elements of four windows. */
function quarters({ writer }: KernelContext, width: number, x: Local, base: number) {
  const locals = writer.vectors(4);
  const set = locals.map((local, index) => {
    const from = base + (index < 2 ? 0 : 4 * width);
    const lanes = index % 2 === 0 ? [0, 2, 4, 6] : [1, 3, 5, 7];
    return local.set(v128.shuffle(v128.load(x.get, from), v128.load(x.get, from + 16), lanes));
  });
  const [a, b, c, d] = locals.map(({ get }) => get) as [Code, Code, Code, Code];
  return { set: seq(...set), values: [a, b, c, d] as const };
}

/** Runs over four windows at a time: `x` is the byte offset of the first one's corner, `y` of its output. */
function fours(
  { writer, chunk }: KernelContext,
  planes: Planes,
  perChunk: number,
  body: (x: Local, y: Local, lanes: number) => Code,
): Code {
  const { height, width, count } = planes;
  const [plane, end, x, y, row, counter] = [0, 1, 2, 3, 4, 5].map(() => writer.int()) as [
    Local,
    Local,
    Local,
    Local,
    Local,
    Local,
  ];
  const first = i32.mul(chunk.get, i32.const(perChunk));
  const bound = i32.add(first, i32.const(perChunk));
  const vectors = Math.floor(width.output / 4);
  const rest = width.output % 4;
  const line = seq(
    repeat(
      counter,
      vectors,
      seq(
        writer.scoped(() => body(x, y, 4)),
        x.increase(32),
        y.increase(16),
      ),
    ),
    rest === 0 ? NOTHING : writer.scoped(() => body(x, y, rest)),
    x.increase(8 * width.input - 32 * vectors),
    y.increase(4 * rest),
  );
  return seq(
    end.set(i32.select(bound, i32.const(count), i32.ltS(bound, i32.const(count)))),
    forRange(
      plane,
      first,
      end.get,
      1,
      seq(
        x.set(i32.mul(plane.get, i32.const(4 * planeSize(planes, 'input')))),
        y.set(i32.mul(plane.get, i32.const(4 * planeSize(planes, 'output')))),
        repeat(row, height.output, line),
      ),
    ),
  );
}

const largest = ([a, b, c, d]: readonly [Code, Code, Code, Code]): Code =>
  f32x4.max(f32x4.max(a, b), f32x4.max(c, d));

export function halving(
  context: KernelContext,
  planes: Planes,
  perChunk: number,
  from: View,
  to: View,
): Code {
  return fours(context, planes, perChunk, (x, y, lanes) => {
    const { set, values } = quarters(context, planes.width.input, x, addressOf(from));
    const most = context.writer.vector();
    return seq(set, most.set(largest(values)), storeVector(y, most.get, addressOf(to), lanes));
  });
}

/** Each output's gradient goes to the first maximum under its window. */
export function doubling(
  context: KernelContext,
  planes: Planes,
  perChunk: number,
  { x: from, dy, dx }: { readonly x: View; readonly dy: View; readonly dx: View },
): Code {
  const { writer } = context;
  const { height, width } = planes;
  const covered = 2 * height.output === height.input && 2 * width.output === width.input;
  const work = fours(context, planes, perChunk, (x, y, lanes) => {
    const { set, values } = quarters(context, width.input, x, addressOf(from));
    const [most, taken, g, hit] = writer.vectors(4) as [Local, Local, Local, Local];
    const shares = writer.vectors(4);
    const parts = shares.map((share, index) => {
      const own = f32x4.eq(values[index] ?? NOTHING, most.get);
      return seq(
        hit.set(v128.andNot(own, taken.get)),
        taken.set(v128.or(taken.get, hit.get)),
        share.set(v128.and(g.get, hit.get)),
      );
    });
    const line = (left: Local, right: Local, offset: number): Code => {
      const whole = (lanes_: readonly number[], at: number, count: number) =>
        count <= 0
          ? NOTHING
          : seq(
              hit.set(v128.shuffle(left.get, right.get, lanes_)),
              storeVector(x, hit.get, addressOf(dx) + offset + at, Math.min(4, count)),
            );
      return seq(whole([0, 4, 1, 5], 0, 2 * lanes), whole([2, 6, 3, 7], 16, 2 * lanes - 4));
    };
    const [a, b, c, d] = shares as [Local, Local, Local, Local];
    return seq(
      set,
      most.set(largest(values)),
      g.set(v128.load(y.get, addressOf(dy))),
      taken.set(i32x4.const(0)),
      ...parts,
      line(a, b, 0),
      line(c, d, 4 * width.input),
    );
  });
  return seq(covered ? NOTHING : clearPlanes(context, planes, perChunk, dx), work);
}
