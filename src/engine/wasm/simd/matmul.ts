/**
 * C = A·B in tiles held in registers, after Goto & van de Geijn 2008 ("Anatomy of High-Performance Matrix
 * Multiplication"): eight columns of B at a time are packed so that they lie in the nearest cache in the order of
 * reading; rows of A stay where they are, because one lane of A is broadcast by its load. A packed panel is [depth, 8];
 * columns beyond the matrix are 0.
 */
import { f32x4, forRange, i32, NOTHING, repeat, seq, v128 } from './code';
import type { Code, Local } from './code';
import type { FunctionWriter } from './module';

/** Columns of a tile, two vectors; its rows are chosen so that sums, two vectors of B and one of A fit 16 registers. */
export const PANEL = 8;
export const TILE_ROWS = 4;
const UNROLL = 4;

export interface TileShape {
  readonly rows: number;
  /** Of the panel's columns, how many exist. */
  readonly columns: number;
  /** Steps along the depth; a local where only the step knows. */
  readonly depth: number | Local;
  /** In bytes, between rows and between steps along the depth. */
  readonly aRow: number;
  readonly aStep: number;
  readonly cRow: number;
  /** Added to `c`. */
  readonly cBase: number;
  /** Bytes between steps along the depth of B: PANEL · 4 where it is packed. */
  readonly bStep: number;
  /** Whether sums start from what C holds. */
  readonly accumulate: boolean;
  /** What the sums of a row start from otherwise; nothing is 0. */
  readonly start?: ((row: number) => Code) | undefined;
}

/** sum + a·b */
export type MultiplyAdd = (a: Code, b: Code, sum: Code) => Code;
export const separate: MultiplyAdd = (a, b, sum) => f32x4.add(sum, f32x4.mul(a, b));
export const relaxed: MultiplyAdd = (a, b, sum) => f32x4.relaxedMadd(a, b, sum);

/** Stores a vector of sums: `row` and `vector` (0 or 1) are those of the tile, `lanes` of them exist. */
export type Store = (sum: Code, row: number, vector: number, lanes: number) => Code;

/**
 * One tile: pointers to A's first row, the packed panel and, where sums go on from there, C's first row. `a` and `b`
 * are used up.
 */
export function tile(
  writer: FunctionWriter,
  shape: TileShape,
  madd: MultiplyAdd,
  [a, b, c]: readonly [Local, Local, Local],
  store: Store,
): Code {
  const { rows, columns, depth, aRow, aStep, bStep, cRow, cBase, accumulate } = shape;
  const wide = columns > 4 ? 2 : 1;
  const sums = writer.vectors(rows * wide);
  const right = writer.vectors(wide);
  const left = writer.vector();
  const counter = writer.int();
  const sumAt = (row: number, vector: number) => sums[row * wide + vector] as Local;
  const start: Code[] = [];
  const step = (k: number): Code =>
    seq(
      ...right.map((vector, j) => vector.set(v128.load(b.get, k * bStep + 16 * j))),
      ...Array.from({ length: rows }, (_, row) =>
        seq(
          left.set(v128.loadSplat(a.get, row * aRow + k * aStep)),
          ...right.map((vector, j) => {
            const sum = sumAt(row, j);
            return sum.set(madd(left.get, vector.get, sum.get));
          }),
        ),
      ),
    );
  const stores: Code[] = [];
  for (let row = 0; row < rows; row++) {
    for (let j = 0; j < wide; j++) {
      const sum = sumAt(row, j);
      // What lies beyond the last column is read with it and not written back.
      const old = v128.load(c.get, cBase + row * cRow + 16 * j);
      start.push(sum.set(accumulate ? old : (shape.start?.(row) ?? f32x4.const(0))));
      stores.push(store(sum.get, row, j, Math.min(4, columns - 4 * j)));
    }
  }
  const steps = (count: number): Code => seq(...Array.from({ length: count }, (_, k) => step(k)));
  const forward = (count: number) => seq(a.increase(count * aStep), b.increase(count * bStep));
  const loop =
    typeof depth === 'number'
      ? seq(
          repeat(counter, Math.floor(depth / UNROLL), seq(steps(UNROLL), forward(UNROLL))),
          steps(depth % UNROLL),
        )
      : seq(
          forRange(
            counter,
            i32.const(UNROLL - 1),
            depth.get,
            UNROLL,
            seq(steps(UNROLL), forward(UNROLL)),
          ),
          forRange(
            counter,
            i32.and(depth.get, i32.const(-UNROLL)),
            depth.get,
            1,
            seq(steps(1), forward(1)),
          ),
        );
  const code = seq(...start, loop, ...stores);
  writer.release(...sums, ...right, left, counter);
  return code;
}

export interface PackShape {
  readonly columns: number;
  readonly depth: number;
  /** In bytes, between steps along the depth and between columns. */
  readonly bStep: number;
  readonly bColumn: number;
}

/** Copies eight columns of B to `to`, in the order in which tiles read them. Both pointers are used up. */
export function pack(
  writer: FunctionWriter,
  { columns, depth, bStep, bColumn }: PackShape,
  from: Local,
  to: Local,
): Code {
  const counter = writer.int();
  const width = columns > 4 ? 2 : 1;
  let code: Code;
  if (bColumn === 4) {
    // Rows of B: two vectors at a time. Lanes beyond the last column hold what lies there; nothing uses them.
    const copies = (count: number): Code =>
      seq(
        ...Array.from({ length: count * width }, (_, i) => {
          const [k, j] = [Math.floor(i / width), i % width];
          return v128.store(to.get, v128.load(from.get, k * bStep + 16 * j), k * 32 + 16 * j);
        }),
      );
    code = seq(
      repeat(
        counter,
        Math.floor(depth / 4),
        seq(copies(4), from.increase(4 * bStep), to.increase(128)),
      ),
      copies(depth % 4),
    );
  } else {
    // Columns of B: four by four, turned. Only whole columns are read, since the next may be far.
    const rows = writer.vectors(4);
    const [r0, r1, r2, r3] = rows as [Local, Local, Local, Local];
    const quarter = (j: number): Code => {
      const lanes = Math.min(4, columns - 4 * j);
      const column = (lane: number): number => (4 * j + Math.min(lane, lanes - 1)) * bColumn;
      if (bStep !== 4) {
        return seq(
          ...[0, 1, 2, 3].map((k) =>
            v128.store(to.get, gather(from, k * bStep, [0, 1, 2, 3].map(column)), k * 32 + 16 * j),
          ),
        );
      }
      const pairs = (lanesOf: readonly number[], a: Local, b: Local) =>
        v128.shuffle(a.get, b.get, lanesOf);
      return seq(
        ...rows.map((row, lane) => row.set(v128.load(from.get, column(lane)))),
        // [a0 b0 a1 b1], [a2 b2 a3 b3] of both pairs, then their halves.
        pairs([0, 4, 1, 5], r0, r1),
        pairs([2, 6, 3, 7], r0, r1),
        r1.set(NOTHING),
        r0.set(NOTHING),
        pairs([0, 4, 1, 5], r2, r3),
        pairs([2, 6, 3, 7], r2, r3),
        r3.set(NOTHING),
        r2.set(NOTHING),
        v128.store(to.get, pairs([0, 1, 4, 5], r0, r2), 16 * j),
        v128.store(to.get, pairs([2, 3, 6, 7], r0, r2), 32 + 16 * j),
        v128.store(to.get, pairs([0, 1, 4, 5], r1, r3), 64 + 16 * j),
        v128.store(to.get, pairs([2, 3, 6, 7], r1, r3), 96 + 16 * j),
      );
    };
    const one = (k: number, j: number): Code => {
      const lanes = Math.min(4, columns - 4 * j);
      const offsets = [0, 1, 2, 3].map((lane) => (4 * j + Math.min(lane, lanes - 1)) * bColumn);
      return v128.store(to.get, gather(from, k * bStep, offsets), k * 32 + 16 * j);
    };
    const vectors = Array.from({ length: width }, (_, j) => j);
    code = seq(
      repeat(
        counter,
        Math.floor(depth / 4),
        seq(...vectors.map(quarter), from.increase(4 * bStep), to.increase(128)),
      ),
      ...Array.from({ length: depth % 4 }, (_, k) => seq(...vectors.map((j) => one(k, j)))),
    );
    writer.release(...rows);
  }
  writer.release(counter);
  return code;
}

/** Four numbers from anywhere. */
export function gather(from: Local, base: number, offsets: readonly number[]): Code {
  const [first = 0, ...rest] = offsets;
  return rest.reduce(
    (value, offset, index) => v128.loadLane(from.get, value, index + 1, base + offset),
    v128.loadOne(from.get, base + first),
  );
}
