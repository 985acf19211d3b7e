/**
 * Columns of a convolution ("im2col", Chellapilla, Puri & Simard 2006): for one channel and one tap of the kernel, the
 * element that the tap sees at each of some rows of positions; 0 outside the picture. Written by each thread into its
 * own working memory, a little before it is read.
 */
import type { WindowAxis } from '../../../ops/Conv/window';
import { control, f32, forRange, I32, i32, seq, v128 } from './code';
import type { Code, Local } from './code';
import { call } from './module';
import type { ModuleWriter } from './module';

/**
 * How positions and the seen picture lie to each other. 'gather': position p sees p·stride + shift, as a convolution's
 * outputs do. 'scatter': position p is seen by (p − shift) / stride where that is whole, as its inputs are.
 */
export type Direction = 'gather' | 'scatter';

export interface Sight {
  readonly direction: Direction;
  readonly height: WindowAxis;
  readonly width: WindowAxis;
}

/** Lengths of the positions' plane and of the picture that is seen. */
export function planes({ direction, height, width }: Sight) {
  const [position, seen] =
    direction === 'gather' ? (['output', 'input'] as const) : (['input', 'output'] as const);
  return {
    rows: height[position],
    columns: width[position],
    seenRows: height[seen],
    seenColumns: width[seen],
  };
}

/** Function (seen plane, to, shift of rows, shift of columns, first row, rows): writes rows · columns numbers. */
export function columnsFunction(module: ModuleWriter, sight: Sight): number {
  const { columns, seenColumns } = planes(sight);
  const { direction, height, width } = sight;
  const plain = height.stride === 1 && width.stride === 1;
  return module.function(
    [I32, I32, I32, I32, I32, I32],
    (writer, plane, to, shiftY, shiftX, first, count) => {
      const [row, seen, x, from, at] = [0, 1, 2, 3, 4].map(() => writer.int()) as [
        Local,
        Local,
        Local,
        Local,
        Local,
      ];
      const value = writer.vector();
      const zeros = (begin: Code, end: Code): Code =>
        forRange(
          x,
          begin,
          end,
          1,
          f32.store(i32.add(to.get, i32.mul(x.get, i32.const(4))), f32.const(0)),
        );
      const all = zeros(i32.const(0), i32.const(columns));
      const inside = (position: Code, length: number) => i32.ltU(position, i32.const(length));
      const offset = direction === 'gather' ? shiftX.get : i32.sub(i32.const(0), shiftX.get);
      // Whole vectors from one row of the picture, then zeros over what lies beside it. A vector that reaches beyond
      // the row is overwritten by the next one.
      const copyLine = seq(
        from.set(
          i32.add(
            plane.get,
            i32.mul(i32.add(i32.mul(seen.get, i32.const(seenColumns)), offset), i32.const(4)),
          ),
        ),
        forRange(
          at,
          to.get,
          i32.add(to.get, i32.const(4 * columns)),
          16,
          seq(value.set(v128.load(from.get)), v128.store(at.get, value.get), from.increase(16)),
        ),
        zeros(i32.const(0), smaller(i32.sub(i32.const(0), offset), columns)),
        zeros(larger(i32.sub(i32.const(seenColumns), offset), 0), i32.const(columns)),
      );
      const place = writer.int();
      const seenAt = (
        position: Local,
        shift: Local,
        axis: WindowAxis,
      ): { set: Code; valid: Code } => {
        const length = direction === 'gather' ? axis.input : axis.output;
        if (direction === 'gather' || axis.stride === 1) {
          const sum =
            direction === 'gather'
              ? i32.add(i32.mul(position.get, i32.const(axis.stride)), shift.get)
              : i32.sub(position.get, shift.get);
          return { set: place.set(sum), valid: inside(place.get, length) };
        }
        const apart = writer.int();
        return {
          set: seq(
            apart.set(i32.sub(position.get, shift.get)),
            place.set(i32.divU(apart.get, i32.const(axis.stride))),
          ),
          valid: i32.and(
            i32.geS(apart.get, i32.const(0)),
            i32.and(
              i32.eqz(i32.remU(apart.get, i32.const(axis.stride))),
              inside(place.get, length),
            ),
          ),
        };
      };
      const sightX = seenAt(x, shiftX, width);
      const slowLine = forRange(
        x,
        i32.const(0),
        i32.const(columns),
        1,
        seq(
          sightX.set,
          at.set(i32.add(to.get, i32.mul(x.get, i32.const(4)))),
          control.if(
            sightX.valid,
            f32.store(
              at.get,
              f32.load(
                i32.add(
                  plane.get,
                  i32.mul(
                    i32.add(i32.mul(seen.get, i32.const(seenColumns)), place.get),
                    i32.const(4),
                  ),
                ),
              ),
            ),
            f32.store(at.get, f32.const(0)),
          ),
        ),
      );
      const sightY = seenAt(row, shiftY, height);
      return forRange(
        row,
        first.get,
        i32.add(first.get, count.get),
        1,
        seq(
          sightY.set,
          control.if(sightY.valid, seq(seen.set(place.get), plain ? copyLine : slowLine), all),
          to.increase(4 * columns),
        ),
      );
    },
  );
}

const smaller = (value: Code, limit: number): Code =>
  i32.select(value, i32.const(limit), i32.ltS(value, i32.const(limit)));
const larger = (value: Code, limit: number): Code =>
  i32.select(value, i32.const(limit), i32.gtS(value, i32.const(limit)));

export interface Tap {
  readonly ky: Local;
  readonly kx: Local;
}

/** Calls the function for one channel's plane (an address) and one tap. */
export function callColumns(
  index: number,
  { height, width }: Sight,
  plane: Code,
  to: Code,
  { ky, kx }: Tap,
  firstRow: Code,
  rows: Code,
): Code {
  const shift = (tap: Local, axis: WindowAxis) =>
    i32.sub(i32.mul(tap.get, i32.const(axis.dilation)), i32.const(axis.before));
  return call(index, plane, to, shift(ky, height), shift(kx, width), firstRow, rows);
}
